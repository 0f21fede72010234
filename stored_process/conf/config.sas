/* Settings of the stored process; nothing else belongs in this file. */

/* Folder of the finished data sets; the account of the SAS server needs to write here. */
%let cp_output = &cp_root/output;

/* Hosts to download from, separated by blanks; with a dot in front every host below it. */
%let cp_hosts = .amazonaws.com;

/* Schemes that a URL may have, separated by blanks and in lower case. */
%let cp_schemes = https;

/* Tries of each download before it counts as failed. */
%let cp_tries = 3;

/* Seconds without a byte after which one try of a download is given up. */
%let cp_timeout = 60;

/* Longest value of a column in bytes, at most 32766; a longer one is refused, never cut. */
%let cp_longest = 8192;

/* 1 writes the name of each finished stage and its counts to the log, 0 does not. */
%let cp_debug = 0;
