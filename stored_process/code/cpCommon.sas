/*
   cpCommon: what stpDownloadFile and stpAppendRow share. Both set cp_root, include
   conf/config.sas and this file, and run their stages between %cp_begin and %cp_end.

   The state of one call stands in macro variables that are local to the program's own main
   macro; everything here only fills them in. Their names, and those of macros, filerefs,
   librefs and members of WORK, begin with cp.

   Reasoned from the SAS 9.4 documentation, not run on SAS.
*/

/* Notes a failure; the first one wins, for what follows it is a consequence. The message
   goes into the log and the answer: no comma, no quote, nothing out of the customer data. */
%macro cp_fail(code, message);
  %if &cp_code = 0 %then %do;
    %let cp_code = &code;
    %let cp_message = &message;
    %put ERROR: connector-proxy: &code: &message;
  %end;
%mend cp_fail;

/* Runs one stage unless something has failed. A SAS error that the stage itself did not
   explain is a failure as well; warnings are left to the stages. */
%macro cp_stage(stage);
  %if &cp_code = 0 %then %do;
    %&stage
    %if &syscc > 4 %then %do;
      %cp_fail(sas_error, SAS met an error in the stage &stage (SYSCC &syscc).)
    %end;
    %if &cp_code = 0 %then %if &debug = 1 %then %do;
      %put NOTE: connector-proxy: &stage done: rows &cp_rows columns &cp_columns;
    %end;
  %end;
%mend cp_stage;

/* Secrets and personal data stay off the log: no macro text, no dump of a row that SAS could
   not read. After an error SAS must go on working, or there would be no answer. */
%macro cp_begin;
  %local names number;
  %let cp_code = 0;
  %let cp_rows = 0;
  %let cp_columns = 0;
  %let cp_rejected = 0;
  %let cp_unreadable = 0;
  %let cp_logged = 0;
  %let names = mprint symbolgen mlogic quotelenmax source2 syntaxcheck replace errors obs
    firstobs validvarname varlenchk compress;
  %do number = 1 %to 13;
    %let cp_options = &cp_options %sysfunc(getoption(%scan(&names, &number), keyword));
  %end;
  options nomprint nosymbolgen nomlogic noquotelenmax nosource2 nosyntaxcheck replace errors=0
    obs=max firstobs=1 validvarname=v7 varlenchk=nowarn compress=char;
  %let syscc = 0;
%mend cp_begin;

/* An installation that is not complete is told at once, before anything is downloaded. */
%macro cp_check_settings;
  %local names number name;
  %let names = liblocation libengine liboptions outputlibref saslogredirect logdays debug
    urlhosts urlschemes filefolder gettries gettimeout lengthslack longestvalue namepattern
    nameprefix existing badrows;
  %do number = 1 %to 18;
    %let name = %scan(&names, &number);
    %if not %symexist(&name) %then %do;
      %cp_fail(settings, The setting &name is missing in conf/config.sas.)
    %end;
  %end;
  %if &cp_code = 0 %then %do;
    %cp_check_number(saslogredirect, 0, 1)
    %cp_check_number(debug, 0, 1)
    %cp_check_number(logdays, 1, 9999)
    %cp_check_number(gettries, 1, 20)
    %cp_check_number(gettimeout, 1, 3600)
    %cp_check_number(lengthslack, 0, 1000)
    %cp_check_number(longestvalue, 1, 32767)
    %cp_check_words(namepattern, task occurrence timestamp)
    %cp_check_words(existing, replace keep)
    %cp_check_words(badrows, refuse reject)
    %cp_check_words(urlhosts, )
    %cp_check_words(urlschemes, )
    %cp_check_prefix
    %cp_check_folder
    %if &cp_code = 0 %then %cp_check_files;
  %end;
%mend cp_check_settings;

%macro cp_check_number(name, least, most);
  %local digits;
  %let digits = %length(%superq(&name));
  %if &digits < 1 or &digits > 5 %then %let digits = 0;
  %else %if %sysfunc(verify(%superq(&name), 0123456789)) > 0 %then %let digits = 0;
  %else %if &&&name < &least or &&&name > &most %then %let digits = 0;
  %if &digits = 0 %then %do;
    %cp_fail(settings, The setting &name is not a whole number from &least to &most.)
  %end;
%mend cp_check_number;

/* Every word of a setting must be one of ALLOWED, and one there must be. */
%macro cp_check_words(name, allowed);
  %local number word wrong;
  %let wrong = %eval(%length(%superq(&name)) = 0);
  %if not &wrong and %length(&allowed) > 0 %then %do;
    %do number = 1 %to %sysfunc(countw(%superq(&name), %str( )));
      %let word = %qscan(%superq(&name), &number, %str( ));
      %if %sysfunc(findw(&allowed, %superq(word), %str( ))) = 0 %then %let wrong = 1;
    %end;
  %end;
  %if &wrong %then %do;
    %cp_fail(settings, The setting &name in conf/config.sas is empty or none of: &allowed)
  %end;
%mend cp_check_words;

%macro cp_check_prefix;
  %if %length(%superq(nameprefix)) > 0 %then %do;
    %if %length(%superq(nameprefix)) > 8
      or %sysfunc(prxmatch(/^[A-Za-z_][A-Za-z0-9_]*$/, %superq(nameprefix))) = 0 %then %do;
      %cp_fail(settings, The setting nameprefix is not the beginning of a SAS name.)
    %end;
  %end;
%mend cp_check_prefix;

/* Empty, or a folder that means the same wherever the server happens to stand: on Windows with
   its drive or share. A quote, &, %, * or ? would not be part of its name. */
%macro cp_check_folder;
  %local rule;
  %let rule = \/;
  %if &sysscp = WIN %then %let rule = ([A-Za-z]:|[\/\\])[\/\\];
  %let rule = /^&rule[^\x22\x25\x26\x27\x2A\x3F]+$/;
  %if %length(%superq(filefolder)) > 0 %then %do;
    %if %length(%superq(filefolder)) > 500
      or %sysfunc(prxmatch(&rule, %superq(filefolder))) = 0 %then %do;
      %cp_fail(settings, The setting filefolder is no whole path or holds a quote or wildcard.)
    %end;
  %end;
%mend cp_check_folder;

%macro cp_check_files;
  %local names number name;
  %let names = conf/inpxmlmap.map conf/jsonmap.map logs;
  %do number = 1 %to %eval(2 + &saslogredirect);
    %let name = %scan(&names, &number, %str( ));
    %if not %sysfunc(fileexist(%superq(cp_root)/&name)) %then %do;
      %cp_fail(settings, There is no &name below cp_root.)
    %end;
  %end;
%mend cp_check_files;

/* The log of this call goes to a file of its own. cp_mark names this call and no other one. */
%macro cp_open_log;
  %local now day time;
  %let now = %sysfunc(datetime(), 17.3);
  %let day = %sysfunc(putn(%sysfunc(datepart(&now)), yymmddn8.));
  %let time = %sysfunc(compress(%sysfunc(putn(&now, tod12.3)), %str(:.)));
  %let cp_mark = &cp_program._&day._&time._&sysjobid;
  %if &saslogredirect = 1 %then %do;
    %cp_old_logs
    proc printto log="&cp_root/logs/&cp_mark..log" new;
    run;
    %let cp_logged = 1;
  %end;
%mend cp_open_log;

/* Removes the logs of this program that are older than the setting logdays. Their age is
   read off their names, and a file that is not named like one of them is left alone. */
%macro cp_old_logs;
  data _null_;
    length name $ 256;
    rc = filename('cplogs', cats(symget('cp_root'), '/logs'));
    folder = dopen('cplogs');
    if folder > 0 then do number = 1 to dnum(folder);
      name = dread(folder, number);
      if prxmatch("/^&cp_program._\d{8}_\d{9}_\d+\.log$/", trim(name)) > 0 then do;
        written = input(substr(name, length("&cp_program") + 2, 8), ?? yymmdd8.);
        if . < written < today() - &logdays then do;
          rc = filename('cpoldlog', cats(symget('cp_root'), '/logs/', name));
          rc = fdelete('cpoldlog');
          rc = filename('cpoldlog', ' ');
        end;
      end;
    end;
    if folder > 0 then rc = dclose(folder);
    rc = filename('cplogs', ' ');
  run;
%mend cp_old_logs;

/* Copied byte for byte, since the stream may be one line of any length and its bytes must
   not be transcoded. A stream that was not sent, or is empty, is told here. */
%macro cp_copy_stream;
  %local bytes;
  %let bytes = 0;
  %if %sysfunc(fileref(instream)) > 0 %then %do;
    %cp_fail(bad_stream, The stored process was called without the stream instream.)
  %end;
  %else %do;
    filename cpstream temp;
    data _null_;
      infile instream recfm=n;
      file cpstream recfm=n;
      input byte $char1.;
      put byte $char1.;
      if _n_ = 1 then call symputx('bytes', 1);
    run;
    %if &bytes = 0 %then %do;
      %cp_fail(bad_stream, The stream instream is empty.)
    %end;
  %end;
%mend cp_copy_stream;

/* Assigns CPREQ to the stream as MAP describes it. A LIBNAME that fails leaves SYSCC alone. */
%macro cp_open_stream(map);
  libname cpreq xmlv2 xmlfileref=cpstream xmlmap=&map access=readonly;
  %if %sysfunc(libref(cpreq)) ne 0 %then %do;
    %cp_fail(bad_stream, The stream cannot be read as XML.)
  %end;
%mend cp_open_stream;

/* Makes cp_lib the libref to save in: the site's own, or CPOUT. Where two calls want the same
   member of a base library the second one waits for the first. */
%macro cp_open_library;
  %if %length(%superq(outputlibref)) > 0 %then %let cp_lib = &outputlibref;
  %else %do;
    %let cp_lib = cpout;
    %cp_check_location
    %if &cp_code = 0 %then %do;
      libname cpout &libengine
        %if %length(%superq(liblocation)) > 0 %then "%superq(liblocation)";
        %if %lowcase(&libengine) = base %then filelockwait=60;
        &liboptions;
    %end;
  %end;
  %if &cp_code = 0 %then %if %sysfunc(libref(&cp_lib)) ne 0 %then %do;
    %cp_fail(settings, The output library cannot be assigned or is not there.)
  %end;
%mend cp_open_library;

/* An engine for files needs a folder that is there; that of a database may need none. */
%macro cp_check_location;
  %if %length(%superq(libengine)) = 0 %then %do;
    %cp_fail(settings, The setting libengine in conf/config.sas is empty.)
  %end;
  %else %if %sysfunc(findw(base spde, %lowcase(&libengine), %str( ))) > 0 %then %do;
    %if %length(%superq(liblocation)) = 0 %then %do;
      %cp_fail(settings, The setting liblocation in conf/config.sas is empty.)
    %end;
    %else %if not %sysfunc(fileexist(%superq(liblocation))) %then %do;
      %cp_fail(settings, The folder of the setting liblocation does not exist.)
    %end;
  %end;
%mend cp_check_location;

/* The number of rows of a dataset, as text; -1 where there is none. A database does not know
   it in advance, there the rows are counted. */
%macro cp_count(data);
  %local id count;
  %let count = -1;
  %let id = %sysfunc(open(&data));
  %if &id > 0 %then %do;
    %let count = %sysfunc(attrn(&id, nlobs));
    %if &count < 0 %then %let count = %sysfunc(attrn(&id, nlobsf));
    %let id = %sysfunc(close(&id));
  %end;
  &count
%mend cp_count;

/* The engine behind a dataset, or nothing where there is no such dataset. */
%macro cp_engine(data);
  %local id engine;
  %let id = %sysfunc(open(&data));
  %if &id > 0 %then %do;
    %let engine = %upcase(%sysfunc(attrc(&id, engine)));
    %let id = %sysfunc(close(&id));
  %end;
  &engine
%mend cp_engine;

/* Statements: make NAME out of TEXT with the characters that a SAS name may have. */
%macro cp_legal(name, text);
  &name = prxchange('s/[^A-Za-z0-9_]/_/', -1, trim(&text));
  if anydigit(&name) = 1 then &name = cats('_', &name);
%mend cp_legal;

/* Statements: keep NAME, the name of a dataset, away from the names that mean something else
   to SAS (_NULL_), to Windows (con) or to this program (cp_columns). */
%macro cp_not_reserved(name);
  if prxmatch('/^(_.*_|cp_.*|con|prn|aux|nul|com\d|lpt\d)$/i', trim(&name)) > 0 then
    &name = cats('t_', &name);
%mend cp_not_reserved;

/* The content type has to be set before _WEBOUT is opened, hence a step of its own. */
%macro cp_answer;
  data _null_;
    rc = stpsrv_header('Content-type', 'text/xml');
  run;
  %cp_write_answer
%mend cp_answer;

/* ASCII only, so that the bytes are the same in every encoding. */
%macro cp_write_answer;
  %local status;
  %let status = ok;
  %if &cp_code ne 0 %then %do;
    %let status = error;
    %let cp_dataset = ;
    %let cp_sha = ;
    %let cp_rows = 0;
    %let cp_columns = 0;
    %let cp_rejected = 0;
    %let cp_unreadable = 0;
  %end;
  data _null_;
    file _webout;
    put '<?xml version="1.0" encoding="UTF-8"?>';
    put '<stpResult>';
    put "<status>&status</status>";
    put "<code>&cp_code</code>";
    put "<message>&cp_message</message>";
    put "<occurrenceId>&cp_occurrence</occurrenceId>";
    put "<dataSet>&cp_dataset</dataSet>";
    put "<rows>&cp_rows</rows>";
    put "<columns>&cp_columns</columns>";
    put "<rejectedRows>&cp_rejected</rejectedRows>";
    put "<unreadableValues>&cp_unreadable</unreadableValues>";
    put "<sha256>&cp_sha</sha256>";
    put '</stpResult>';
  run;
%mend cp_write_answer;

/* Leaves the server process as it was found. SYSCC goes back to 0 because the error has been
   told: the web service would put a fault in the place of the answer. */
%macro cp_end;
  %local names number name;
  %let names = cpreq cpjson cpout;
  %do number = 1 %to 3;
    %let name = %scan(&names, &number);
    %if %sysfunc(libref(&name)) = 0 %then %do;
      libname &name clear;
    %end;
  %end;
  %let names = cpstream cpmap cpmeta cpdata cphead cpjmap cpcode;
  %do number = 1 %to 7;
    %let name = %scan(&names, &number);
    %if %sysfunc(fileref(&name)) <= 0 %then %do;
      filename &name clear;
    %end;
  %end;
  proc datasets library=work memtype=data nolist nowarn;
    delete cp_meta cp_columns cp_found cp_rejects cp_fields cp_row cp_add &cp_work;
  quit;
  %if &cp_logged = 1 %then %do;
    proc printto log=log;
    run;
  %end;
  options &cp_options;
  %let syscc = 0;
%mend cp_end;
