/* Settings of both stored processes; nothing else belongs in this file. */

/* Folder of the output library; the account of the SAS server needs to write here. */
%let liblocation = &cp_root/output;

/* Engine of the output library: base, spde, or that of a database such as oracle. */
%let libengine = base;

/* Further options of the LIBNAME statement, as text. */
%let liboptions = ;

/* A libref that the site assigns itself; if it is set the three above are not used. */
%let outputlibref = ;

/* 1 writes the log of each call to a file in the folder logs, 0 leaves it to the server. */
%let saslogredirect = 0;

/* Days after which such a file is removed again. */
%let logdays = 14;

/* 1 writes the name of each finished stage and its counts to the log, 0 does not. */
%let debug = 0;

/* Hosts to download from, separated by blanks; with a dot in front every host below it. */
%let urlhosts = .amazonaws.com;

/* Schemes that a URL may have, separated by blanks and in lower case. */
%let urlschemes = https;

/* Folder, as this server sees it, in which files may be named by their path; empty: nowhere. */
%let filefolder = ;

/* Tries of each download before it counts as failed. */
%let gettries = 3;

/* Seconds without a byte after which one try of a download is given up. */
%let gettimeout = 60;

/* Percent of room that is added to the longest value of a character column. */
%let lengthslack = 0;

/* Longest value of a column in bytes, at most 32767; a row with a longer one is a bad row. */
%let longestvalue = 32767;

/* What the name of a dataset is made of, in this order: task, occurrence, timestamp. */
%let namepattern = task occurrence;

/* At most eight letters, digits and _ that are put in front of every name. */
%let nameprefix = ;

/* Where the name is taken: replace, or keep, which saves the new dataset with _2 behind it. */
%let existing = replace;

/* A bad row: refuse saves nothing, reject puts its line and the reason into <name>_rej. */
%let badrows = refuse;
