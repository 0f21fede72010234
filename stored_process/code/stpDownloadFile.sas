/*
   stpDownloadFile: turns one bulk task of CI 360 into a SAS data set.

   The web service hands over the stream INSTREAM with one row, <Table><InData>...: two
   presigned URLs and what the task is called. The program downloads the metadata file and
   the data file, checks every row, saves one data set and tells in _WEBOUT how it went.
   Either the whole data set is saved or nothing is.

   Reasoned from the SAS 9.4 documentation, not run on SAS.
*/

/* The one line to edit: the folder that holds code, conf and output. */
%let cp_root = C:/SAS/connector-proxy/stored_process;

%include "&cp_root/conf/config.sas";

/* Notes a failure; the first one wins, for what follows it is a consequence. The message
   goes into the log and the answer: no comma, no quote, nothing out of the customer data. */
%macro cp_fail(code, message);
  %if &cp_code = 0 %then %do;
    %let cp_code = &code;
    %let cp_message = &message;
    %put ERROR: connector-proxy, &code: &message;
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
    %if &cp_code = 0 %then %do;
      %if &cp_debug = 1 %then %do;
        %put NOTE: connector-proxy, &stage done, rows &cp_rows, columns &cp_columns..;
      %end;
    %end;
  %end;
%mend cp_stage;

/* The number of rows of a data set, as text; -1 where there is none. */
%macro cp_count(data);
  %local id count;
  %let count = -1;
  %let id = %sysfunc(open(&data));
  %if &id > 0 %then %do;
    %let count = %sysfunc(attrn(&id, nlobs));
    %let id = %sysfunc(close(&id));
  %end;
  &count
%mend cp_count;

/* An installation that is not complete is told at once, before anything is downloaded. */
%macro cp_check_settings;
  %local names number name;
  %let names = cp_output cp_hosts cp_schemes cp_tries cp_timeout cp_longest cp_debug;
  %do number = 1 %to 7;
    %let name = %scan(&names, &number);
    %if not %symexist(&name) %then %do;
      %cp_fail(settings, The setting &name is missing: see cp_root and conf/config.sas.)
    %end;
    %else %if %length(%superq(&name)) = 0 %then %do;
      %cp_fail(settings, The setting &name in conf/config.sas is empty.)
    %end;
    %else %if &number > 3 %then %cp_check_number(&name);
  %end;
  %cp_check_folders
%mend cp_check_settings;

%macro cp_check_number(name);
  %if %sysfunc(verify(%superq(&name), 0123456789)) > 0 %then %do;
    %cp_fail(settings, The setting &name in conf/config.sas is not a whole number.)
  %end;
  %else %if &&&name < 1 and &name ne cp_debug %then %do;
    %cp_fail(settings, The setting &name in conf/config.sas is 0.)
  %end;
  %else %if &&&name > 32766 %then %do;
    %cp_fail(settings, The setting &name in conf/config.sas is larger than 32766.)
  %end;
%mend cp_check_number;

%macro cp_check_folders;
  %if &cp_code = 0 %then %do;
    %if not %sysfunc(fileexist(%superq(cp_root)/conf/inpxmlmap.map))
      or not %sysfunc(fileexist(%superq(cp_root)/conf/jsonmap.map)) %then %do;
      %cp_fail(settings, The folder conf below cp_root has not both map files.)
    %end;
    %if not %sysfunc(fileexist(%superq(cp_output))) %then %do;
      %cp_fail(settings, The folder of the setting cp_output does not exist.)
    %end;
  %end;
%mend cp_check_folders;

/* Copied byte for byte, since the stream may be one line of any length and its bytes must
   not be transcoded; then read with a map that never changes. */
%macro cp_receive;
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
    run;
    filename cpmap "&cp_root/conf/inpxmlmap.map";
    libname cpreq xmlv2 xmlfileref=cpstream xmlmap=cpmap access=readonly;
    /* A LIBNAME that fails leaves SYSCC alone. */
    %if %sysfunc(libref(cpreq)) ne 0 %then %do;
      %cp_fail(bad_stream, The stream cannot be read as XML.)
    %end;
  %end;
%mend cp_receive;

/* Takes the row apart. The URLs come out of a request, so they are checked here, in the DATA
   step: a macro variable exists only for one that has passed. */
%macro cp_read_request;
  %local rows code;
  %let rows = 0;
  data _null_;
    length code $ 32 note what $ 200 task $ 256 address scheme rest authority host port $ 8192;
    set cpreq.InData;
    call symputx('rows', _n_);
    if _n_ > 1 then stop;
    call symputx('cp_occurrence', compress(occurrenceId, '-_.:0123456789'
      || 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ', 'k'));
    code = 'bad_stream';
    if length(occurrenceId) = 128 then note = 'The occurrenceId of the stream is too long.';
    else if missing(metadataFile) and missing(dataFile) and not missing(guid) then
      note = 'The stream is an event without files: only bulk tasks are handled.';
    else do;
      code = 'url_not_allowed';
      what = 'metadata file';
      address = left(metadataFile);
      %cp_check_url
      what = 'data file';
      address = left(dataFile);
      if missing(note) then do;
        %cp_check_url
      end;
    end;
    call symputx('code', code);
    call symputx('cp_note', note);
    if missing(note) then do;
      %cp_name_dataset
      call symputx('cp_dataset', task);
      call symputx('cp_metaurl', metadataFile);
      call symputx('cp_dataurl', dataFile);
    end;
  run;
  %if &syserr > 4 %then %do;
    %cp_fail(bad_stream, The stream is not the XML that conf/inpxmlmap.map describes.)
  %end;
  %else %if &rows ne 1 %then %do;
    %cp_fail(bad_stream, The stream does not hold exactly one InData row.)
  %end;
  %else %if %length(&cp_note) > 0 %then %do;
    %cp_fail(&code, &cp_note)
  %end;
%mend cp_read_request;

/* Statements: sets NOTE unless ADDRESS, the URL of WHAT, may be fetched. What is left after
   the second test (RFC 3986, no quote but ') cannot end the string it will stand in. */
%macro cp_check_url;
  scheme = lowcase(scan(substr(address, 1, 8000), 1, ':', 'm'));
  rest = substr(address, length(scheme) + 1);
  authority = scan(substr(rest, 4), 1, '/?#', 'm');
  host = lowcase(scan(authority, 1, ':', 'm'));
  port = scan(authority, 2, ':', 'm');
  if missing(address) then do;
    code = 'url_missing';
    note = 'is empty';
  end;
  else if length(address) > 8000 then note = 'is longer than 8000 characters';
  else if verify(trim(address), '-._~:/?#[]@!$&()*+,;=%0123456789' || "'"
    || 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ') > 0 then
    note = 'holds a character that no URL may have';
  else if missing(scheme) or findw("&cp_schemes", trim(scheme), ' ') = 0
    or substr(rest, 1, 3) ne '://' then note = 'does not begin with a scheme of cp_schemes';
  else if index(authority, '@') > 0 then note = 'holds a user name';
  else if missing(host) or countw(authority, ':', 'm') > 2
    or verify(trim(host), '-.0123456789abcdefghijklmnopqrstuvwxyz') > 0 then
    note = 'has no readable host';
  else if index(authority, ':') > 0 and (missing(port)
    or verify(trim(port), '0123456789') > 0) then note = 'has no readable port';
  else do;
    %cp_check_host
  end;
  if not missing(note) then note = cats(catx(' ', 'The URL of the', what, note), '.');
%mend cp_check_url;

/* Statements: sets NOTE unless HOST is one of cp_hosts. The bar marks the end of both, so
   that a suffix matches nowhere but at the end. */
%macro cp_check_host;
  note = 'leads to a host that is not in cp_hosts';
  do item = 1 to countw("&cp_hosts", ' ');
    rest = lowcase(scan("&cp_hosts", item, ' '));
    place = index(trim(host) || '|', trim(rest) || '|');
    if place = 1 and substr(rest, 1, 1) ne '.' then note = ' ';
    if place > 1 and substr(rest, 1, 1) = '.' then note = ' ';
  end;
%mend cp_check_host;

/* Statements: makes TASK the name of the data set, up to 15 characters of the task and 16
   of a digest of its occurrence. The same occurrence gives the same name, so that a repeated
   run replaces its own data set; without an occurrence the URL tells runs apart. */
%macro cp_name_dataset;
  task = coalescec(taskName, 'task');
  %cp_legal(task, task)
  task = cats(substr(task, 1, 15), '_',
    substr(put(sha256(trim(coalescec(occurrenceId, dataFile))), $hex64.), 1, 16));
%mend cp_name_dataset;

/* Statements: make NAME out of TEXT with the characters that a SAS name may have. */
%macro cp_legal(name, text);
  &name = prxchange('s/[^A-Za-z0-9_]/_/', -1, trim(&text));
  if anydigit(&name) = 1 then &name = cats('_', &name);
%mend cp_legal;

%macro cp_download;
  filename cpmeta temp;
  filename cpdata temp;
  filename cphead temp;
  %cp_get(cp_metaurl, cpmeta, metadata file)
  %if &cp_code = 0 %then %do;
    %cp_get(cp_dataurl, cpdata, data file)
  %end;
%mend cp_download;

/* GETs the URL in the macro variable that ADDRESS names into the fileref TARGET. Only no
   answer and 5xx are worth another try: what S3 refuses it refuses again. */
%macro cp_get(address, target, what);
  %local try;
  %let cp_http = 0;
  %do try = 1 %to &cp_tries;
    %if &cp_http = 0 or &cp_http >= 500 %then %do;
      %if &try > 1 %then %do;
        data _null_;
          call sleep(2 ** &try, 1);
        run;
      %end;
      %cp_get_once(&address, &target)
    %end;
  %end;
  %if &cp_http = 0 %then %do;
    %cp_fail(download_failed, The &what could not be downloaded to its end.)
  %end;
  %else %if &cp_http >= 500 %then %do;
    %cp_fail(download_failed, The store of the &what is not ready (HTTP status &cp_http).)
  %end;
  %else %if &cp_http = 403 %then %do;
    %cp_fail(url_expired, The URL of the &what has expired or is not valid (HTTP status 403).)
  %end;
  %else %if &cp_http = 404 %then %do;
    %cp_fail(file_gone, The &what is no longer there (HTTP status 404).)
  %end;
  %else %if &cp_http ne 200 %then %do;
    %cp_fail(download_refused, The store did not answer with the &what (HTTP status &cp_http).)
  %end;
%mend cp_get;

/* One try; sets cp_http to the status, or to 0 when nothing whole arrived. The URL is text
   for nobody but PROC HTTP: SUPERQ keeps its & and % from the macro processor. A redirect is
   not followed, since its host is not checked. */
%macro cp_get_once(address, target);
  /* A call without an answer would leave the status of the one before. */
  %symdel SYS_PROCHTTP_STATUS_CODE / nowarn;
  /* An answer without a body may write no file at all. */
  data _null_;
    file &target;
  run;
  proc http
    url="%superq(&address)"
    method="GET"
    out=&target
    headerout=cphead
    headerout_overwrite
    timeout=&cp_timeout
    nofollowloc;
  run;
  /* A failed try is counted by its status; SYSCC was good when the stage began. */
  %let syscc = 0;
  %let cp_http = 0;
  %if %symexist(SYS_PROCHTTP_STATUS_CODE) %then %do;
    %let cp_http = &SYS_PROCHTTP_STATUS_CODE;
    %if %length(&cp_http) = 0 %then %let cp_http = 0;
  %end;
  %if &cp_http = 200 %then %do;
    %cp_check_size(&target)
  %end;
%mend cp_get_once;

/* A connection that is cut at the end of a row leaves a file that looks whole. Where the
   length cannot be told, this test passes. */
%macro cp_check_size(target);
  data _null_;
    length name $ 64;
    retain expected . encoded 0;
    infile cphead lrecl=32767 end=last;
    input;
    name = lowcase(scan(_infile_, 1, ':'));
    if name = 'content-length' then
      expected = input(scan(compress(_infile_, '0D'x), 2, ': '), ?? 20.);
    if name = 'content-encoding' then encoded = 1;
    if last and not encoded then do;
      id = fopen("&target");
      if id > 0 then do;
        actual = input(finfo(id, 'File Size (bytes)'), ?? 20.);
        id = fclose(id);
        if n(expected, actual) = 2 and expected ne actual then call symputx('cp_http', 0);
      end;
    end;
  run;
%mend cp_check_size;

/* Sets cp_first to the first byte of a file, in hex, that is no blank and no part of a byte
   order mark; to nothing when there is none. */
%macro cp_sniff(source);
  %let cp_first = ;
  data _null_;
    infile &source recfm=n;
    input byte $char1.;
    if byte not in (' ' '09'x '0A'x '0D'x 'EF'x 'BB'x 'BF'x) then do;
      call symputx('cp_first', put(byte, $hex2.));
      stop;
    end;
  run;
%mend cp_sniff;

/* Statements: reads the next line into _INFILE_ and makes ready to take its values. A line
   ends at LF alone, so that a CR is either dropped here or part of a value. On Windows a
   byte 1A would end the file silently. _INFILE_ holds no more than 32767 bytes. */
%macro cp_next_line(source);
  infile &source encoding='utf-8' lrecl=1048576 length=_cp_length termstr=lf end=_cp_last
    %if &sysscp = WIN %then ignoredoseof;
  ;
  input;
  _cp_bytes = _cp_length;
  _cp_fault = 0;
  if _cp_bytes > 32766 then _cp_fault = 4;
  else if _cp_bytes > 0 then do;
    if char(_infile_, _cp_bytes) = '0D'x then _cp_bytes = _cp_bytes - 1;
  end;
  _cp_at = 1;
  if _n_ = 1 and substr(_infile_, 1, 3) = 'EFBBBF'x then _cp_at = 4;
%mend cp_next_line;

/* Statements: finds the value at _CP_AT and moves on to the next one. It begins at _CP_FROM,
   is _CP_SIZE bytes long and has _CP_PAIRS doubled quotes; _CP_NEXT is the comma after it or
   lies behind the line. DSD and COUNTW are not used: they take an apostrophe for a quote,
   and a family name such as O'Neill would pull the next value into its own. */
%macro cp_next_value;
  _cp_pairs = 0;
  if char(_infile_, _cp_at) = '"' then do;
    _cp_from = _cp_at + 1;
    _cp_stop = find(_infile_, '"', _cp_from);
    do while (_cp_stop > 0 and char(_infile_, _cp_stop + 1) = '"');
      _cp_pairs = _cp_pairs + 1;
      _cp_stop = find(_infile_, '"', _cp_stop + 2);
    end;
    _cp_size = _cp_stop - _cp_from;
    _cp_next = _cp_stop + 1;
    if _cp_stop = 0 then _cp_fault = 1;
    else if _cp_next <= _cp_bytes and char(_infile_, _cp_next) ne ',' then _cp_fault = 2;
  end;
  else do;
    _cp_from = _cp_at;
    _cp_next = find(_infile_, ',', _cp_at);
    if _cp_next = 0 then _cp_next = _cp_bytes + 1;
    _cp_size = _cp_next - _cp_from;
  end;
  _cp_at = _cp_next + 1;
%mend cp_next_value;

/* Statements: puts the value found last into TARGET, with its doubled quotes made single. */
%macro cp_take_value(target);
  if _cp_pairs > 0 then
    &target = tranwrd(substrn(_infile_, _cp_from, _cp_size), '""', '"');
  else &target = substrn(_infile_, _cp_from, _cp_size);
%mend cp_take_value;

/* Statement: tells what _CP_FAULT means, in NOTE. */
%macro cp_explain(what);
  note = catx(' ', 'Line', _n_, "of the &what", choosec(_cp_fault,
    'has a quoted value that does not end on it: line breaks in values are not handled.',
    'has text behind a closing quote.',
    "has a value of more than &cp_longest bytes (cp_longest).",
    'has more than 32766 bytes.'));
%mend cp_explain;

/* Two generations of the file: a JSON array of columns, or one line of CSV with the names.
   Either becomes WORK.CP_META with the column columnName. */
%macro cp_read_metadata;
  %cp_sniff(cpmeta)
  %if %length(&cp_first) = 0 %then %do;
    %cp_fail(bad_data, The metadata file is empty.)
  %end;
  %else %if &cp_first = 5B %then %cp_read_json;
  %else %if &cp_first = 7B %then %do;
    %cp_fail(bad_data, The metadata file is JSON but not an array of columns.)
  %end;
  %else %cp_read_header;
%mend cp_read_metadata;

%macro cp_read_json;
  filename cpjmap "&cp_root/conf/jsonmap.map";
  libname cpjson json fileref=cpmeta map=cpjmap noalldata ordinalcount=none;
  %if %sysfunc(libref(cpjson)) ne 0 %then %do;
    %cp_fail(bad_data, The metadata file cannot be read as JSON.)
  %end;
  %else %do;
    data work.cp_meta;
      set cpjson.columns(keep=columnName);
    run;
    %if &syserr > 4 %then %do;
      %cp_fail(bad_data, The metadata file is not the JSON that conf/jsonmap.map describes.)
    %end;
  %end;
%mend cp_read_json;

%macro cp_read_header;
  data work.cp_meta(keep=columnName);
    length columnName $ 256 note $ 200;
    %cp_next_line(cpmeta)
    if _n_ > 1 and _cp_bytes > 0 then note = 'The metadata file has more than one line.';
    else if _cp_bytes > 0 and not _cp_fault then do until (_cp_next > _cp_bytes or _cp_fault);
      %cp_next_value
      %cp_take_value(columnName)
      output;
    end;
    if _cp_fault then do;
      %cp_explain(metadata file)
    end;
    if not missing(note) then do;
      call symputx('cp_note', note);
      stop;
    end;
  run;
  %if %length(&cp_note) > 0 %then %do;
    %cp_fail(bad_data, &cp_note)
  %end;
  %else %if &syserr > 0 %then %do;
    %cp_fail(bad_data, The metadata file cannot be read in the encoding of this session.)
  %end;
%mend cp_read_header;

/* WORK.CP_COLUMNS: a legal name that no other column has, and the original as label. Names
   that begin with _CP_ are those of this program, names like _N_ are those of SAS. */
%macro cp_name_columns;
  %let cp_columns = %cp_count(work.cp_meta);
  %if &cp_columns < 1 %then %do;
    %let cp_columns = 0;
    %cp_fail(bad_data, The metadata file names no column.)
  %end;
  %else %do;
    data work.cp_columns(keep=number name original);
      length number 8 name $ 32 original $ 256 stem $ 260 suffix $ 8;
      array used {&cp_columns} $ 32 _temporary_;
      set work.cp_meta;
      number = _n_;
      /* A control character could end the line of generated code that the label stands in. */
      original = left(translate(columnName, ' ',
        '000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F7F'x));
      if missing(original) then do;
        call symputx('cp_note', catx(' ', 'Column', _n_, 'of the metadata has no name.'));
        stop;
      end;
      %cp_legal(stem, original)
      if upcase(stem) =: '_CP_' then stem = cats('C', stem);
      else if stem =: '_' and substr(stem, length(stem), 1) = '_' then stem = cats('C', stem);
      name = substr(stem, 1, 32);
      copy = 1;
      do while (whichc(upcase(name), of used{*}) > 0);
        copy = copy + 1;
        suffix = cats('_', copy);
        name = cats(substr(stem, 1, 32 - length(suffix)), suffix);
      end;
      used{_n_} = upcase(name);
    run;
    %if %length(&cp_note) > 0 %then %do;
      %cp_fail(bad_data, &cp_note)
    %end;
  %end;
%mend cp_name_columns;

/* The first pass: every row must have the width of the metadata, and the longest value of
   each column becomes its length, so that nothing is ever cut. */
%macro cp_measure;
  %cp_sniff(cpdata)
  %if &cp_first = 1F %then %do;
    %cp_fail(bad_data, The data file is compressed: only plain CSV is handled.)
  %end;
  %else %do;
    data work.cp_lengths(keep=number width);
      length number width 8 note $ 200;
      array longest {&cp_columns} _temporary_;
      %cp_next_line(cpdata)
      number = 0;
      if not _cp_fault then do until (_cp_next > _cp_bytes or _cp_fault);
        %cp_next_value
        number = number + 1;
        if number <= &cp_columns then
          longest{number} = max(longest{number}, _cp_size - _cp_pairs);
        if _cp_fault = 0 and _cp_size - _cp_pairs > &cp_longest then _cp_fault = 3;
      end;
      if _cp_fault then do;
        %cp_explain(data file)
      end;
      else if number ne &cp_columns then note = catx(' ', 'Line', _n_, 'of the data file has',
        number, "values and the metadata names &cp_columns columns.");
      if not missing(note) then do;
        call symputx('cp_note', note);
        stop;
      end;
      if _cp_last then do;
        call symputx('cp_rows', _n_);
        do number = 1 to &cp_columns;
          width = longest{number};
          output;
        end;
      end;
    run;
    %cp_check_pass
  %end;
%mend cp_measure;

/* What a pass over the data file has to say. A warning counts: with one SAS tells that it
   put other characters in the place of those that the session encoding does not have. */
%macro cp_check_pass;
  %if %length(&cp_note) > 0 %then %do;
    %cp_fail(bad_data, &cp_note)
  %end;
  %else %if &syserr > 0 %then %do;
    %cp_fail(bad_data, The data file cannot be read in the encoding of this session.)
  %end;
%mend cp_check_pass;

/* The second pass, into WORK: the same lines again, now with a place for each value. */
%macro cp_build;
  %cp_write_columns
  data work.&cp_dataset(compress=char drop=_cp_:);
    %include cpcode;
    %cp_next_line(cpdata)
    do _cp_number = 1 to &cp_columns;
      %cp_next_value
      %cp_take_value(_cp_column{_cp_number})
    end;
  run;
  %cp_check_pass
  %if %cp_count(work.&cp_dataset) ne &cp_rows %then %do;
    %cp_fail(bad_data, The two passes over the data file did not find the same rows.)
  %end;
%mend cp_build;

/* Declarations of the columns as code, in short lines because %INCLUDE cuts long ones. A
   label stands in single quotes, where & and % mean nothing. */
%macro cp_write_columns;
  filename cpcode temp;
  data work.cp_columns;
    merge work.cp_columns work.cp_lengths;
    by number;
    width = max(width, 1);
  run;
  data _null_;
    length quoted $ 520;
    file cpcode;
    do until (named);
      set work.cp_columns end=named;
      quoted = cats("'", tranwrd(trim(original), "'", "''"), "'");
      put 'length ' name '$ ' width ';';
      put 'label ' name '= ' quoted ';';
    end;
    put 'array _cp_column {*} $';
    do until (listed);
      set work.cp_columns end=listed;
      put name;
    end;
    put ';';
    stop;
  run;
%mend cp_write_columns;

/* The one moment at which something appears in the output library. */
%macro cp_save;
  libname cpout "&cp_output";
  %if %sysfunc(libref(cpout)) ne 0 %then %do;
    %cp_fail(save_failed, The folder of the setting cp_output cannot be used as a library.)
  %end;
  %else %do;
    proc copy in=work out=cpout memtype=data;
      select &cp_dataset;
    run;
    %if &syserr > 4 or %cp_count(cpout.&cp_dataset) ne &cp_rows %then %do;
      %cp_fail(save_failed, The data set could not be saved in the folder of cp_output.)
    %end;
  %end;
%mend cp_save;

/* The header has to be set before _WEBOUT is opened, hence two steps. */
%macro cp_answer;
  %local status data rows columns;
  %let status = error;
  %let rows = 0;
  %let columns = 0;
  %if &cp_code = 0 %then %do;
    %let status = ok;
    %let data = &cp_dataset;
    %let rows = &cp_rows;
    %let columns = &cp_columns;
  %end;
  data _null_;
    rc = stpsrv_header('Content-type', 'text/xml');
  run;
  data _null_;
    file _webout;
    put '<?xml version="1.0" encoding="UTF-8"?>';
    put '<stpResult>';
    put "<status>&status</status>";
    put "<code>&cp_code</code>";
    put "<message>&cp_message</message>";
    put "<occurrenceId>&cp_occurrence</occurrenceId>";
    put "<dataSet>&data</dataSet>";
    put "<rows>&rows</rows>";
    put "<columns>&columns</columns>";
    put '</stpResult>';
  run;
%mend cp_answer;

/* Secrets and personal data stay off the log: no macro text, no dump of a row that SAS
   could not read. After an error SAS must go on working, or there would be no answer. */
%macro cp_begin;
  %let cp_options = %sysfunc(getoption(mprint)) %sysfunc(getoption(symbolgen))
    %sysfunc(getoption(mlogic)) %sysfunc(getoption(quotelenmax)) %sysfunc(getoption(source2))
    %sysfunc(getoption(syntaxcheck)) %sysfunc(getoption(errors, keyword));
  options nomprint nosymbolgen nomlogic noquotelenmax nosource2 nosyntaxcheck errors=0;
  %let syscc = 0;
%mend cp_begin;

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
    delete cp_meta cp_lengths cp_columns &cp_dataset;
  quit;
  options &cp_options;
  %let syscc = 0;
%mend cp_end;

%macro cp_main;
  %local cp_code cp_message cp_note cp_options cp_occurrence cp_dataset cp_rows
    cp_columns cp_metaurl cp_dataurl cp_http cp_first;
  %let cp_code = 0;
  %let cp_rows = 0;
  %let cp_columns = 0;
  %cp_begin
  %cp_stage(cp_check_settings)
  %cp_stage(cp_receive)
  %cp_stage(cp_read_request)
  %cp_stage(cp_download)
  %cp_stage(cp_read_metadata)
  %cp_stage(cp_name_columns)
  %cp_stage(cp_measure)
  %cp_stage(cp_build)
  %cp_stage(cp_save)
  %cp_answer
  %cp_end
%mend cp_main;

%cp_main
