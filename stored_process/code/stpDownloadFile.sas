/*
   stpDownloadFile: turns one bulk task of CI 360 into a SAS dataset.

   The web service hands over the stream INSTREAM with one row, <Table><InData>...: two
   presigned URLs, or the paths of two files below filefolder, and what the task is called. The
   program downloads the metadata file and the data file, or opens them, reads the data twice,
   once to learn how wide and of which type its columns are and once to keep it, saves one
   dataset and tells in _WEBOUT how it went. Either the whole dataset is saved or nothing is.

   Reasoned from the SAS 9.4 documentation, not run on SAS.
*/

/* The one line to edit: the folder that holds code, conf, logs and output. */
%let cp_root = C:/SAS/connector-proxy/stored_process;

%include "&cp_root/conf/config.sas";
%include "&cp_root/code/cpCommon.sas";

/* Takes the row apart. The addresses come out of a request, so they are checked here, in the
   DATA step: a macro variable exists only for one that has passed. */
%macro cp_read_request;
  %local rows code;
  %let rows = 0;
  filename cpmap "&cp_root/conf/inpxmlmap.map";
  %cp_open_stream(cpmap)
  %if &cp_code = 0 %then %do;
    data _null_;
      length code $ 32 note what $ 200 name part $ 600
        address scheme rest authority host port folder begin $ 8192;
      set cpreq.InData;
      call symputx('rows', _n_);
      if _n_ > 1 then stop;
      call symputx('cp_occurrence', prxchange('s/[^A-Za-z0-9_.:-]//', -1, trim(occurrenceId)));
      %cp_check_request
      call symputx('code', code);
      call symputx('cp_note', note);
      if missing(note) then do;
        %cp_name_dataset
        call symputx('cp_dataset', name);
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
  %end;
%mend cp_read_request;

/* Statements: set NOTE and CODE unless the row is one that this program can work with. */
%macro cp_check_request;
  code = 'bad_stream';
  if length(occurrenceId) >= 128 then note = 'The occurrenceId of the stream is too long.';
  else if missing(metadataFile) and missing(dataFile) and not missing(guid) then
    note = 'The stream is an event without files: that is for stpAppendRow.';
  else do;
    code = 'url_not_allowed';
    what = 'metadata file';
    address = left(metadataFile);
    %cp_take_address(cp_metaurl, cp_metapath)
    what = 'data file';
    address = left(dataFile);
    if missing(note) then do;
      %cp_take_address(cp_dataurl, cp_datapath)
    end;
  end;
%mend cp_check_request;

/* Statements: hand ADDRESS, which tells where WHAT is, to the macro variable that URL or PATH
   names, or set NOTE. What begins with a slash or a drive is a path. */
%macro cp_take_address(url, path);
  if missing(address) then do;
    code = 'url_missing';
    note = cats(catx(' ', 'The URL of the', what, 'is empty'), '.');
  end;
  else if prxmatch('/^([A-Za-z]:)?[\/\\]/', address) > 0 then do;
    %cp_check_path
    if missing(note) then call symputx("&path", address);
    else note = cats(catx(' ', 'The path of the', what, note), '.');
  end;
  else do;
    %cp_check_url
    if missing(note) then call symputx("&url", address);
    else note = cats(catx(' ', 'The URL of the', what, note), '.');
  end;
%mend cp_take_address;

/* Statements: set NOTE unless ADDRESS, the path of WHAT, names a file one folder below that of
   the setting. Both slashes are the same, on Windows upper and lower case too. What is opened is
   put together anew, so that nothing but the two names comes out of the request: no .., no
   device of Windows, no wildcard. A line break would pass $ alone. */
%macro cp_check_path;
  folder = symget('filefolder');
  folder = prxchange('s/[\/\\]+$//', 1, trim(folder));
  begin = substr(address, 1, length(folder));
  rest = translate(substr(address, length(folder) + 1), '/', '\');
  if missing(folder) then note = 'is not allowed: filefolder in conf/config.sas is empty';
  else if %cp_folded(begin) ne %cp_folded(folder) then note = 'does not begin with filefolder';
  else if length(rest) > 130 or prxmatch(
    '/^\/[0-9A-Za-z_-]{1,64}\/[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*(?!\n)$/', trim(rest)) = 0
    or prxmatch('/\/(con|prn|aux|nul|com\d|lpt\d)(\.|\/|$)/i', trim(rest)) > 0 then
    note = 'is not that of a file one folder below filefolder';
  else address = cats(folder, rest);
%mend cp_check_path;

/* An expression: TEXT, a path, as it is compared. */
%macro cp_folded(text);
  %if &sysscp = WIN %then lowcase(translate(&text, '/', '\'));
  %else translate(&text, '/', '\');
%mend cp_folded;

/* Statements: set NOTE unless ADDRESS, the URL of WHAT, may be fetched. What is left after
   the third test (RFC 3986, no quote but ') cannot end the string it will stand in. */
%macro cp_check_url;
  scheme = lowcase(scan(substr(address, 1, 8000), 1, ':', 'm'));
  rest = substr(address, length(scheme) + 1);
  authority = scan(substr(rest, 4), 1, '/?#', 'm');
  host = lowcase(scan(authority, 1, ':', 'm'));
  port = scan(authority, 2, ':', 'm');
  if length(address) > 8000 then note = 'is longer than 8000 characters';
  else if verify(trim(address), '-._~:/?#[]@!$&()*+,;=%0123456789' || "'"
    || 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ') > 0 then
    note = 'holds a character that no URL may have';
  else if missing(scheme) or findw("&urlschemes", trim(scheme), ' ') = 0
    or substr(rest, 1, 3) ne '://' then note = 'does not begin with a scheme of urlschemes';
  else if index(authority, '@') > 0 then note = 'holds a user name';
  else if missing(host) or countw(authority, ':', 'm') > 2
    or verify(trim(host), '-.0123456789abcdefghijklmnopqrstuvwxyz') > 0 then
    note = 'has no readable host';
  else if index(authority, ':') > 0 and (missing(port)
    or verify(trim(port), '0123456789') > 0) then note = 'has no readable port';
  else do;
    %cp_check_host
  end;
%mend cp_check_url;

/* Statements: set NOTE unless HOST is one of urlhosts. The bar marks the end of both, so that
   a suffix matches nowhere but at the end. */
%macro cp_check_host;
  note = 'leads to a host that is not in urlhosts';
  do item = 1 to countw("&urlhosts", ' ');
    rest = lowcase(scan("&urlhosts", item, ' '));
    place = index(trim(host) || '|', trim(rest) || '|');
    if place = 1 and substr(rest, 1, 1) ne '.' then note = ' ';
    if place > 1 and substr(rest, 1, 1) = '.' then note = ' ';
  end;
%mend cp_check_host;

/* How much of a name each part may take: cp_digits of the digest of the occurrence, cp_room
   of the task. 28 in all, so that four stay free for _rej and the numbers of existing=keep. */
%macro cp_plan_name;
  %local parts task occurrence timestamp;
  %let parts = %sysfunc(countw(&namepattern));
  %let task = %eval(%sysfunc(findw(&namepattern, task)) > 0);
  %let occurrence = %eval(%sysfunc(findw(&namepattern, occurrence)) > 0);
  %let timestamp = %eval(%sysfunc(findw(&namepattern, timestamp)) > 0);
  %let cp_digits = %eval(12 - 6 * &timestamp);
  %let cp_room = %eval(29 - %length(&nameprefix) - &parts - &cp_digits * &occurrence
    - 15 * &timestamp);
  %if &parts ne %eval(&task + &occurrence + &timestamp) %then %do;
    %cp_fail(settings, The setting namepattern has a part twice.)
  %end;
  %else %if &cp_room < &task %then %do;
    %cp_fail(settings, The setting nameprefix is too long for such a namepattern.)
  %end;
%mend cp_plan_name;

/* Statements: make NAME, the dataset's, out of the parts in namepattern. The occurrence is a
   digest, so that the same one gives the same name; without one the URL tells runs apart. */
%macro cp_name_dataset;
  %local number part;
  %do number = 1 %to %sysfunc(countw(&namepattern));
    %let part = %scan(&namepattern, &number);
    %if &part = task %then %do;
      part = prxchange('s/[^A-Za-z0-9_]/_/', -1, trim(coalescec(taskName, 'task')));
      part = substr(part, 1, &cp_room);
    %end;
    %else %if &part = occurrence %then %do;
      part = upcase(hashing('sha256', trim(coalescec(occurrenceId, dataFile))));
      part = substr(part, 1, &cp_digits);
    %end;
    %else %do;
      now = datetime();
      part = cats(put(datepart(now), yymmddn6.), compress(put(now, tod12.3), ':.'));
    %end;
    name = catx('_', name, part);
  %end;
  name = cats("&nameprefix", name);
  %cp_legal(name, name)
  %cp_not_reserved(name)
  name = substr(name, 1, 28);
  /* That end belongs to the rejected rows of another dataset. */
  name = prxchange('s/_rej$/_re_/i', 1, trim(name));
%mend cp_name_dataset;

/* Makes CPMETA and CPDATA the two files, wherever they come from. */
%macro cp_download;
  filename cphead temp;
  %cp_fetch(cp_metaurl, cp_metapath, cpmeta, metadata file)
  %if &cp_code = 0 %then %do;
    %cp_fetch(cp_dataurl, cp_datapath, cpdata, data file)
  %end;
%mend cp_download;

%macro cp_fetch(url, path, target, what);
  %if %length(%superq(&path)) > 0 %then %do;
    %cp_open_file(&path, &target, &what)
  %end;
  %else %do;
    filename &target temp;
    %cp_get(&url, &target, &what)
  %end;
%mend cp_fetch;

/* Assigns TARGET to the file whose path is in the macro variable that ADDRESS names; it is read
   where it lies. The path is text for nobody but functions. A folder that is away may be a share
   that comes back. */
%macro cp_open_file(address, target, what);
  %local state;
  data _null_;
    length path folder $ 1024 state $ 8;
    path = symget("&address");
    folder = prxchange('s/\/[^\/]*\/[^\/]*$//', 1, trim(path));
    if not fileexist(folder) then state = 'away';
    else if not fileexist(path) then state = 'gone';
    else if filename("&target", trim(path)) ne 0 then state = 'shut';
    else do;
      id = fopen("&target");
      if id > 0 then rc = fclose(id);
      else state = 'shut';
    end;
    call symputx('state', state);
  run;
  %if &state = away %then %do;
    %cp_fail(download_failed, The folder of the setting filefolder cannot be reached.)
  %end;
  %else %if &state = gone %then %do;
    %cp_fail(file_gone, The &what is not in filefolder or this account may not see it.)
  %end;
  %else %if &state = shut %then %do;
    %cp_fail(download_failed, The &what cannot be opened by the account of the SAS server.)
  %end;
%mend cp_open_file;

/* GETs the URL in the macro variable that ADDRESS names into the fileref TARGET. Only no
   answer and 5xx are worth another try: what S3 refuses it refuses again. */
%macro cp_get(address, target, what);
  %local try;
  %let cp_http = 0;
  %do try = 1 %to &gettries;
    %if &cp_http = 0 or &cp_http >= 500 %then %do;
      %if &try > 1 %then %do;
        data _null_;
          call sleep(2 ** min(&try - 1, 5), 1);
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
    timeout=&gettimeout
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
    infile cphead lrecl=32767 truncover end=last;
    input line $char32767.;
    name = lowcase(scan(line, 1, ':'));
    if name = 'content-length' then
      expected = input(scan(compress(line, '0D'x), 2, ': '), ?? 20.);
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
   order mark; to nothing when there is none, and to none when the file is empty. */
%macro cp_sniff(source);
  %let cp_first = none;
  data _null_;
    infile &source recfm=n;
    input byte $char1.;
    if _n_ = 1 then call symputx('cp_first', ' ');
    if byte not in (' ' '09'x '0A'x '0D'x 'EF'x 'BB'x 'BF'x) then do;
      call symputx('cp_first', put(byte, $hex2.));
      stop;
    end;
  run;
%mend cp_sniff;

/* The digest of the data file as it came. HASHING_FILE refuses an empty file. */
%macro cp_digest;
  %if &cp_first = none %then %do;
    %let cp_sha = e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;
  %end;
  %else %do;
    data _null_;
      length digest $ 64 path $ 1024;
      path = pathname('cpdata');
      digest = lowcase(hashing_file('sha256', trim(path)));
      call symputx('cp_sha', digest);
    run;
  %end;
%mend cp_digest;

/* Constants of the scanner: the longest line, every byte there is, and the class of each in
   UTF-8: . ASCII, c the second and later bytes of a character, 2 3 4 the first of as many,
   x none of all that. */
%macro cp_plan_scanner;
  %local number;
  %let cp_lrecl = 33554432;
  %let cp_all_bytes = ;
  %do number = 0 %to 255;
    %let cp_all_bytes = &cp_all_bytes%sysfunc(putn(&number, hex2.));
  %end;
  %let cp_classes = %sysfunc(repeat(., 127))%sysfunc(repeat(c, 63))xx%sysfunc(repeat(2, 29));
  %let cp_classes = &cp_classes%sysfunc(repeat(3, 15))44444%sysfunc(repeat(x, 10));
%mend cp_plan_scanner;

/* Statements: declare what the scanner below needs. A file is read in lines, a line through a
   window of 4095 bytes, so that neither a line nor a row is bound to the 32767 bytes of a
   variable. A line ends at LF alone; on Windows a byte 1A would end the file silently. DSD and
   COUNTW are not used: they take an apostrophe for a quote. */
%macro cp_scanner_begin(source);
  length _cp_win _cp_class $ 4096 _cp_text $ 32767 _cp_note $ 200
    _cp_word $ 64 _cp_byte $ 1;
  retain _cp_win _cp_class _cp_text ' ' _cp_line 0;
  infile &source encoding='utf-8' lrecl=&cp_lrecl length=_cp_bytes termstr=lf truncover
    end=_cp_last %if &sysscp = WIN %then ignoredoseof;
  ;
%mend cp_scanner_begin;

/* Statements: read one row of as many values as WIDTH and run the statements of the macro
   TAKE for each. _CP_FAULT tells what is wrong with it, in column _CP_NUMBER. After text
   behind a closing quote nobody knows where values begin: the next row is the next line. */
%macro cp_scan_row(width, take);
  _cp_fault = 0;
  _cp_number = 0;
  link cp_next_line;
  _cp_row_line = _cp_line;
  do until (_cp_done);
    _cp_number = _cp_number + 1;
    link cp_next_value;
    if _cp_fault = 0 and _cp_number <= &width then do;
      %&take
    end;
  end;
  if _cp_fault = 0 and _cp_number ne &width then _cp_fault = 4;
%mend cp_scan_row;

/* Routines of a step that uses CP_SCAN_ROW; they stand behind its own RETURN. The faults: 1 a
   quote that never closes, 2 text behind a closing quote, 3 a value that is too long, 4 a row of
   another width, 5 bytes that are not UTF-8, 6 a line that is too long. */
%macro cp_scanner_routines;
  %cp_routine_line
  %cp_routine_window
  %cp_routine_value
  %cp_routine_plain
  %cp_routine_quoted
  %cp_routine_break
  %cp_routine_append
  %cp_routine_explain
%mend cp_scanner_routines;

/* The next line. A CR before its end is part of it only inside quotes. */
%macro cp_routine_line;
  cp_next_line:
    input @;
    _cp_line = _cp_line + 1;
    _cp_end = _cp_bytes;
    if _cp_end >= &cp_lrecl then do;
      _cp_fault = 6;
      _cp_end = 0;
    end;
    _cp_cr = 0;
    if _cp_end > 0 then do;
      input @_cp_end _cp_byte $char1. @;
      if _cp_byte = '0D'x then _cp_cr = 1;
      _cp_end = _cp_end - _cp_cr;
    end;
    _cp_seen = 0;
    link cp_next_window;
    if _cp_line = 1 and _cp_win =: 'EFBBBF'x then _cp_at = 4;
  return;
%mend cp_routine_line;

/* The next window of the line, _CP_SIZE bytes. The comma behind them makes every search end
   there, and the end of a line look like the end of a value. */
%macro cp_routine_window;
  cp_next_window:
    _cp_place = _cp_seen + 1;
    _cp_size = min(4095, _cp_end - _cp_seen);
    if _cp_size > 0 then do;
      input @_cp_place _cp_win $varying4095. _cp_size @;
      %if %index(%upcase(&sysencoding), UTF) > 0 %then %cp_check_utf8;
    end;
    _cp_seen = _cp_seen + _cp_size;
    _cp_more = (_cp_seen < _cp_end);
    substr(_cp_win, _cp_size + 1, 1) = ',';
    _cp_at = 1;
  return;
%mend cp_routine_window;

/* Statements: look whether the window is UTF-8, without a loop over its bytes: each becomes
   the letter of its class, whole characters are struck out, and nothing may be left. A
   character that the window cuts is left to the next one. A session of another encoding has
   SAS transcode the line, and CP_CHECK_PASS notices what it could not. */
%macro cp_check_utf8;
  _cp_class = translate(substr(_cp_win, 1, _cp_size), "&cp_classes", "&cp_all_bytes"x);
  if verify(substr(_cp_class, 1, _cp_size), '.') > 0 then do;
    _cp_class = tranwrd(tranwrd(tranwrd(_cp_class, '4ccc', '....'), '3cc', '...'), '2c', '..');
    _cp_odd = verify(substr(_cp_class, 1, _cp_size), '.');
    if _cp_odd > 1 and _cp_seen + _cp_size < _cp_end and substrn(_cp_class, _cp_odd,
      _cp_size - _cp_odd + 1) in ('2' '3' '3c' '4' '4c' '4cc') then _cp_size = _cp_odd - 1;
    else if _cp_odd > 0 and _cp_fault = 0 then _cp_fault = 5;
  end;
%mend cp_check_utf8;

/* The value at _CP_AT: _CP_LEN bytes, in the window from _CP_FROM on, or in _CP_TEXT where
   _CP_MOVED is 1. Nearly all take the first way, which copies nothing. */
%macro cp_routine_value;
  cp_next_value:
    if _cp_at > _cp_size and _cp_more then link cp_next_window;
    _cp_moved = 0;
    if char(_cp_win, _cp_at) = '"' then link cp_quoted_value;
    else do;
      _cp_from = _cp_at;
      _cp_next = find(_cp_win, ',', _cp_at);
      if _cp_next > _cp_size and _cp_more then link cp_plain_value;
      else _cp_len = _cp_next - _cp_from;
    end;
    _cp_at = _cp_next + 1;
    _cp_done = (_cp_next > _cp_size and not _cp_more) or _cp_fault in (1 2);
    if _cp_len > &longestvalue and _cp_fault = 0 then _cp_fault = 3;
  return;
%mend cp_routine_value;

/* A value without quotes that goes on behind the window. */
%macro cp_routine_plain;
  cp_plain_value:
    _cp_moved = 1;
    _cp_len = 0;
    do while (_cp_next > _cp_size and _cp_more);
      link cp_append;
      link cp_next_window;
      _cp_from = 1;
      _cp_next = find(_cp_win, ',', 1);
    end;
    link cp_append;
  return;
%mend cp_routine_plain;

/* A value in quotes. It is copied only where it holds a quote or a line break, or where the
   window ends. */
%macro cp_routine_quoted;
  cp_quoted_value:
    _cp_from = _cp_at + 1;
    _cp_next = find(_cp_win, '"', _cp_from);
    if _cp_next > 0 and (_cp_next < _cp_size or not _cp_more)
      and char(_cp_win, _cp_next + 1) = ',' then do;
      _cp_len = _cp_next - _cp_from;
      _cp_next = _cp_next + 1;
      return;
    end;
    _cp_moved = 1;
    _cp_len = 0;
    _cp_closed = 0;
    do until (_cp_closed or _cp_fault = 1);
      _cp_next = find(_cp_win, '"', _cp_from);
      if _cp_next = 0 then do;
        _cp_next = _cp_size + 1;
        link cp_append;
        if _cp_more then link cp_next_window;
        else link cp_line_break;
        _cp_from = 1;
      end;
      else do;
        link cp_append;
        _cp_from = _cp_next + 1;
        if _cp_from > _cp_size and _cp_more then do;
          link cp_next_window;
          _cp_from = 1;
        end;
        if char(_cp_win, _cp_from) = '"' then do;
          _cp_next = _cp_from + 1;
          link cp_append;
          _cp_from = _cp_next;
        end;
        else _cp_closed = 1;
      end;
    end;
    _cp_next = _cp_from;
    if _cp_closed and char(_cp_win, _cp_next) ne ',' and _cp_fault ne 1 then _cp_fault = 2;
  return;
%mend cp_routine_quoted;

/* A line that ends inside of quotes: the line break is part of the value. */
%macro cp_routine_break;
  cp_line_break:
    if _cp_last then _cp_fault = 1;
    else do;
      _cp_win = '0D0A'x;
      _cp_from = 2 - _cp_cr;
      _cp_next = 3;
      link cp_append;
      input;
      link cp_next_line;
    end;
  return;
%mend cp_routine_break;

/* Appends the window from _CP_FROM up to, not with, _CP_NEXT to _CP_TEXT. What does not fit is
   counted all the same, and so becomes a fault. */
%macro cp_routine_append;
  cp_append:
    _cp_piece = _cp_next - _cp_from;
    if _cp_piece > 0 then do;
      if _cp_len = 0 then _cp_text = substrn(_cp_win, _cp_from, _cp_piece);
      else if _cp_len + _cp_piece <= 32767 then
        substr(_cp_text, _cp_len + 1, _cp_piece) = substrn(_cp_win, _cp_from, _cp_piece);
      _cp_len = _cp_len + _cp_piece;
    end;
    else if _cp_len = 0 then _cp_text = ' ';
  return;
%mend cp_routine_append;

/* _CP_NOTE becomes the reason of _CP_FAULT. Never a value: it goes to the answer and is kept. */
%macro cp_routine_explain;
  cp_explain:
    _cp_note = choosec(_cp_fault,
      'has a quote that is never closed',
      catx(' ', 'has text behind the closing quote of value', _cp_number),
      "has a value of more than &longestvalue bytes",
      catx(' ', 'has', _cp_number, "values and the metadata names &cp_columns columns"),
      'has bytes that are not UTF-8',
      "is longer than &cp_lrecl bytes");
  return;
%mend cp_routine_explain;

/* Statements: put the value found last into TARGET. */
%macro cp_take_value(target);
  if _cp_moved then &target = _cp_text;
  else &target = substrn(_cp_win, _cp_from, _cp_len);
%mend cp_take_value;

/* Two generations of the file: a JSON array of columns, or one line of CSV with the names.
   Either becomes WORK.CP_META with the columns columnName and dataType. */
%macro cp_read_metadata;
  %let cp_columns = 0;
  %cp_sniff(cpmeta)
  %if %length(&cp_first) = 0 or &cp_first = none %then %do;
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
      set cpjson.columns(keep=columnName dataType);
    run;
    %if &syserr > 4 %then %do;
      %cp_fail(bad_data, The metadata file is not the JSON that conf/jsonmap.map describes.)
    %end;
  %end;
%mend cp_read_json;

/* The line is one row of names, however many. */
%macro cp_read_header;
  data work.cp_meta(keep=columnName dataType);
    length columnName $ 1024 dataType $ 32;
    call missing(dataType);
    %cp_scanner_begin(cpmeta)
    %cp_scan_row(_cp_number, cp_take_name)
    if _cp_fault then link cp_explain;
    do while (not _cp_last and missing(_cp_note));
      input;
      input @;
      if _cp_bytes > 1 then _cp_note = 'is followed by another one';
    end;
    if not missing(_cp_note) then
      call symputx('cp_note', cats(catx(' ', 'The line of the metadata file', _cp_note), '.'));
    stop;
    return;
    %cp_scanner_routines
  run;
  %if %length(&cp_note) > 0 %then %do;
    %cp_fail(bad_data, &cp_note)
  %end;
  %else %if &syserr > 0 %then %do;
    %cp_fail(bad_data, The metadata file cannot be read in the encoding of this session.)
  %end;
%mend cp_read_header;

%macro cp_take_name;
  %cp_take_value(columnName)
  output;
%mend cp_take_name;

/* WORK.CP_COLUMNS: a legal name that no other column has, the original as label, and the kind:
   0 character, 1 number, 2 date, 3 timestamp. Names that begin with _CP_ are those of this
   program, names like _N_ are those of SAS. */
%macro cp_name_columns;
  %let cp_columns = %cp_count(work.cp_meta);
  %if &cp_columns < 1 %then %do;
    %let cp_columns = 0;
    %cp_fail(bad_data, The metadata file names no column.)
  %end;
  %else %if &cp_columns > 9999 %then %do;
    %cp_fail(bad_data, The metadata file names more than 9999 columns.)
  %end;
  %else %do;
    data work.cp_columns(keep=number kind name original);
      length number kind 8 name $ 32 original $ 256 stem $ 1024 suffix $ 8 kinds $ 32767;
      retain kinds;
      array used {&cp_columns} $ 32 _temporary_;
      set work.cp_meta end=last;
      number = _n_;
      %cp_legal_column
      %cp_unique_column
      %cp_kind_of_column
      kinds = catx(' ', kinds, kind);
      if last then call symputx('cp_kinds', kinds);
    run;
    %if %length(&cp_note) > 0 %then %do;
      %cp_fail(bad_data, &cp_note)
    %end;
  %end;
%mend cp_name_columns;

/* Statements: ORIGINAL and STEM out of columnName. A control character could end the line of
   generated code that the label stands in. */
%macro cp_legal_column;
  columnName = left(translate(columnName, ' ',
    '000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F7F'x));
  original = ktruncate(columnName, 1, 256);
  if missing(original) then do;
    call symputx('cp_note', catx(' ', 'Column', _n_, 'of the metadata has no name.'));
    stop;
  end;
  %cp_legal(stem, columnName)
  if upcase(stem) =: '_CP_' then stem = cats('C', stem);
  else if stem =: '_' and substr(stem, length(stem), 1) = '_' then stem = cats('C', stem);
%mend cp_legal_column;

/* Statements: NAME out of STEM, with a number where another column has it already. */
%macro cp_unique_column;
  name = substr(stem, 1, 32);
  copy = 1;
  do while (whichc(upcase(name), of used{*}) > 0);
    copy = copy + 1;
    suffix = cats('_', copy);
    name = cats(substr(stem, 1, 32 - length(suffix)), suffix);
  end;
  used{_n_} = upcase(name);
%mend cp_unique_column;

/* Statements: KIND out of dataType; whatever is not known is character. */
%macro cp_kind_of_column;
  dataType = lowcase(left(dataType));
  if dataType in ('numeric' 'number' 'integer' 'int' 'long' 'double' 'decimal' 'float') then
    kind = 1;
  else if dataType = 'date' then kind = 2;
  else if dataType in ('datetime' 'timestamp') then kind = 3;
  else kind = 0;
%mend cp_kind_of_column;

/* The first pass: finds bad rows and learns, from the good ones, the longest value of each
   column and what a column that is not character could not read. */
%macro cp_measure;
  %cp_sniff(cpdata)
  %cp_digest
  %if &cp_first = 1F %then %do;
    %cp_fail(bad_data, The data file is compressed: only plain CSV is handled.)
  %end;
  %else %do;
    data work.cp_found(keep=number longest readable unreadable digits)
      work.cp_rejects(keep=line reason);
      length number longest readable unreadable digits line 8 reason $ 200;
      label line = 'Line of the data file' reason = 'Why the row was rejected';
      array _cp_kind {&cp_columns} _temporary_ (&cp_kinds);
      array _cp_said {&cp_columns} $ 64 _temporary_;
      array _cp_wide {&cp_columns} _temporary_;
      array _cp_longest {&cp_columns} _temporary_ (&cp_columns * 0);
      array _cp_readable {&cp_columns} _temporary_ (&cp_columns * 0);
      array _cp_unreadable {&cp_columns} _temporary_ (&cp_columns * 0);
      array _cp_digits {&cp_columns} _temporary_ (&cp_columns * 0);
      %cp_scanner_begin(cpdata)
      %cp_scan_row(&cp_columns, cp_take_width)
      if _cp_fault then do;
        %cp_bad_row
      end;
      else do;
        %cp_learn_row
      end;
      if _cp_last then do;
        %cp_tell_columns
      end;
      return;
      %cp_scanner_routines
      %cp_routine_convert
    run;
    %cp_check_pass
  %end;
%mend cp_measure;

/* Statements: note the width of one value, and its text where it is to be converted. */
%macro cp_take_width;
  _cp_wide{_cp_number} = _cp_len;
  if _cp_kind{_cp_number} > 0 then do;
    link cp_word;
    _cp_said{_cp_number} = _cp_word;
  end;
%mend cp_take_width;

/* Statements: reject the row, or refuse the whole file. */
%macro cp_bad_row;
  link cp_explain;
  if "&badrows" = 'refuse' or _cp_fault in (1 6) then do;
    call symputx('cp_note',
      cats(catx(' ', 'Line', _cp_row_line, 'of the data file', _cp_note), '.'));
    stop;
  end;
  _cp_rejected + 1;
  line = _cp_row_line;
  reason = cats(catx(' ', 'The row', _cp_note), '.');
  output work.cp_rejects;
%mend cp_bad_row;

/* Statements: what a good row teaches. */
%macro cp_learn_row;
  _cp_good + 1;
  do _cp_number = 1 to &cp_columns;
    if _cp_wide{_cp_number} > _cp_longest{_cp_number} then
      _cp_longest{_cp_number} = _cp_wide{_cp_number};
    if _cp_kind{_cp_number} > 0 then do;
      _cp_word = _cp_said{_cp_number};
      if not missing(_cp_word) then do;
        link cp_convert;
        if missing(_cp_value) then _cp_unreadable{_cp_number} + 1;
        else _cp_readable{_cp_number} + 1;
        if _cp_precise > 15 then _cp_digits{_cp_number} = 1;
      end;
    end;
  end;
%mend cp_learn_row;

/* Statements: at the end, one row for each column and the counts. */
%macro cp_tell_columns;
  do number = 1 to &cp_columns;
    longest = _cp_longest{number};
    readable = _cp_readable{number};
    unreadable = _cp_unreadable{number};
    digits = _cp_digits{number};
    output work.cp_found;
  end;
  call symputx('cp_rows', _cp_good);
  call symputx('cp_rejected', _cp_rejected);
%mend cp_tell_columns;

/* Routines for columns that are not character. CP_WORD takes the value found last, or so much
   of a long one that CP_CONVERT cannot take it for a shorter one. CP_CONVERT tests the shape
   first, since informats are more lenient than they look; ?? keeps values out of the log. */
%macro cp_routine_convert;
  cp_word:
    %cp_take_value(_cp_word)
    _cp_word = left(_cp_word);
    if _cp_len > 64 and length(_cp_word) < 64 then _cp_word = '?';
  return;
  cp_convert:
    _cp_value = .;
    _cp_precise = 0;
    if _cp_kind{_cp_number} = 1 then do;
      %cp_convert_number
    end;
    else if _cp_kind{_cp_number} = 3 then do;
      %cp_convert_timestamp
    end;
    else if translate(_cp_word, '000000000', '123456789') = '0000-00-00' then
      _cp_value = input(_cp_word, ?? e8601da10.);
  return;
%mend cp_routine_convert;

/* Statements: _CP_PRECISE is the number of digits that the number needs: no zeros in front,
   none at the end of a fraction. */
%macro cp_convert_number;
  if prxmatch('/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i', trim(_cp_word)) > 0 then do;
    if length(_cp_word) <= 32 then _cp_value = input(_cp_word, ?? 32.);
    if length(_cp_word) > 15 then do;
      _cp_word = scan(_cp_word, 1, 'eE');
      if index(_cp_word, '.') > 0 then _cp_word = prxchange('s/0+$//', 1, trim(_cp_word));
      _cp_word = compress(_cp_word, '+-.');
      _cp_place = verify(trim(_cp_word), '0');
      if _cp_place > 0 then _cp_precise = length(_cp_word) - _cp_place + 1;
    end;
  end;
%mend cp_convert_number;

/* Statements: a time with a zone becomes UTC, one without stays what it is. */
%macro cp_convert_timestamp;
  if prxmatch('/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?$/',
    trim(_cp_word)) > 0 then do;
    substr(_cp_word, 11, 1) = 'T';
    if indexc(substr(_cp_word, 20), 'Z+-') > 0 then _cp_value = input(_cp_word, ?? e8601dz35.);
    else _cp_value = input(_cp_word, ?? e8601dt26.);
  end;
%mend cp_convert_timestamp;

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

/* What the first pass means for each column. A number with more than 15 digits would lose
   some; a type of which not one value can be read is evidently not that of the values. */
%macro cp_settle_columns;
  data work.cp_columns;
    length kinds $ 32767;
    retain kinds;
    drop kinds lost;
    merge work.cp_columns work.cp_found end=last;
    by number;
    if digits or (unreadable > 0 and readable = 0) then kind = 0;
    if kind > 0 then lost + unreadable;
    width = min(32767, ceil(max(longest, 1) * (1 + &lengthslack / 100)));
    kinds = catx(' ', kinds, kind);
    if last then do;
      call symputx('cp_kinds', kinds);
      call symputx('cp_unreadable', lost);
    end;
  run;
%mend cp_settle_columns;

/* Declarations of the columns as code, in short lines because %INCLUDE cuts long ones. A
   label stands in single quotes, where & and % mean nothing. */
%macro cp_write_columns;
  filename cpcode temp;
  data _null_;
    length quoted $ 520;
    file cpcode;
    set work.cp_columns;
    quoted = cats("'", tranwrd(trim(original), "'", "''"), "'");
    if kind = 0 then put 'length ' name '$ ' width ';';
    else put 'length ' name '8;';
    put 'label ' name '= ' quoted ';';
    if kind = 1 then put 'format ' name 'best32.;';
    if kind = 2 then put 'format ' name 'e8601da10.;';
    if kind = 3 then put 'format ' name 'e8601dt26.3;';
  run;
  %cp_write_array(_cp_c, $, eq)
  %cp_write_array(_cp_n, , gt)
%mend cp_write_columns;

/* An array of the columns of one type, behind a first element that is never used: an array
   must not be empty. */
%macro cp_write_array(array, type, compare);
  data _null_;
    file cpcode mod;
    set work.cp_columns end=last;
    if _n_ = 1 then put "array &array {*} &type &array.0";
    if kind &compare 0 then put name;
    if last then put ';';
  run;
%mend cp_write_array;

/* The second pass, into WORK: the same rows again, now with a place for each value. The label
   is how CP_SAVE knows later that what it finds is what it wrote. */
%macro cp_build;
  %cp_settle_columns
  %cp_write_columns
  %let cp_work = &cp_dataset &cp_dataset._rej;
  data work.&cp_dataset(label="&cp_mark" drop=_cp_:);
    %include cpcode;
    array _cp_kind {&cp_columns} _temporary_ (&cp_kinds);
    array _cp_slot {&cp_columns} _temporary_;
    if _n_ = 1 then do;
      %cp_find_slots
    end;
    %cp_scanner_begin(cpdata)
    %cp_scan_row(&cp_columns, cp_keep_value)
    if _cp_fault = 0 then output;
    return;
    %cp_scanner_routines
    %cp_routine_convert
  run;
  %cp_check_pass
  %if %cp_count(work.&cp_dataset) ne &cp_rows %then %do;
    %cp_fail(bad_data, The two passes over the data file did not find the same rows.)
  %end;
%mend cp_build;

/* Statements: which element of the arrays _CP_C and _CP_N belongs to each column. */
%macro cp_find_slots;
  do _cp_number = 1 to &cp_columns;
    if _cp_kind{_cp_number} = 0 then do;
      _cp_texts + 1;
      _cp_slot{_cp_number} = _cp_texts + 1;
    end;
    else do;
      _cp_numbers + 1;
      _cp_slot{_cp_number} = _cp_numbers + 1;
    end;
  end;
%mend cp_find_slots;

/* Statements: put one value where it belongs. */
%macro cp_keep_value;
  if _cp_kind{_cp_number} = 0 then do;
    %cp_take_value(_cp_c{_cp_slot{_cp_number}})
  end;
  else do;
    link cp_word;
    link cp_convert;
    _cp_n{_cp_slot{_cp_number}} = _cp_value;
  end;
%mend cp_keep_value;

/* The one moment at which something appears in the output library. */
%macro cp_save;
  %if &cp_rejected > 0 %then %do;
    proc datasets library=work memtype=data nolist;
      change cp_rejects=&cp_dataset._rej;
    quit;
  %end;
  %if &existing = keep %then %cp_save_beside;
  %else %cp_save_over;
%mend cp_save;

/* In the place of a dataset of the same name. A base or SPD library replaces it when the new
   one is complete; a database has no such moment, there the old table goes first. */
%macro cp_save_over;
  %local rejects;
  %cp_remove(&cp_dataset, database)
  %if &cp_rejected > 0 %then %do;
    %let rejects = &cp_dataset._rej;
    %cp_remove(&rejects, database)
  %end;
  proc copy in=work out=&cp_lib memtype=data;
    select &cp_dataset &rejects;
  run;
  %if &syserr > 4 or not %cp_saved(&cp_dataset) %then %do;
    %cp_fail(save_failed, The dataset could not be saved in the output library.)
  %end;
  %else %if &cp_rejected = 0 %then %do;
    %cp_remove(&cp_dataset._rej, any)
  %end;
%mend cp_save_over;

/* Deletes a member of the output library if it is there, and in a library of type WHERE. */
%macro cp_remove(member, where);
  %local engine;
  %let engine = %cp_engine(&cp_lib..&member);
  %if &where = database %then %if &engine = V9 or &engine = SPDE %then %let engine = ;
  %if %length(&engine) > 0 %then %do;
    proc datasets library=&cp_lib memtype=data nolist;
      delete &member;
    quit;
  %end;
%mend cp_remove;

/* Beside what is there, under the next number. REPLACE=NO decides between two calls that want
   the same one at once; the label then tells whose it became. */
%macro cp_save_beside;
  %local number member engine tries done;
  %let tries = 0;
  %let done = 0;
  %do number = 1 %to 999;
    %if not &done and &tries < 3 %then %do;
      %let member = %cp_numbered(&number);
      %let engine = %cp_engine(&cp_lib..&member);
      %if %length(&engine) = 0 %then %do;
        %let tries = %eval(&tries + 1);
        data &cp_lib..&member(replace=no label="&cp_mark");
          set work.&cp_dataset;
        run;
        %let done = %cp_saved(&member);
      %end;
    %end;
  %end;
  %if not &done %then %do;
    %cp_fail(save_failed, The dataset could not be saved in the output library.)
  %end;
  %else %do;
    /* What went wrong on the way was that another call took a number. */
    %let syscc = 0;
    %cp_save_rejects(&member)
  %end;
%mend cp_save_beside;

/* The name of the dataset with a number, still not longer than 28. */
%macro cp_numbered(number);
  %local keep;
  %if &number = 1 %then &cp_dataset;
  %else %do;
    %let keep = %eval(27 - %length(&number));
    %if &keep > %length(&cp_dataset) %then %let keep = %length(&cp_dataset);
    %substr(&cp_dataset, 1, &keep)_&number
  %end;
%mend cp_numbered;

%macro cp_save_rejects(member);
  %if &cp_rejected > 0 %then %do;
    data &cp_lib..&member._rej;
      set work.&cp_dataset._rej;
    run;
    %if &syserr > 4 %then %do;
      %cp_fail(save_failed, The rejected rows could not be saved in the output library.)
    %end;
  %end;
  %let cp_dataset = &member;
%mend cp_save_rejects;

/* 1 when the member of the output library is the one that this call wrote, to its last row. A
   database does not keep the label. */
%macro cp_saved(member);
  %local id label engine saved;
  %let saved = 0;
  %let id = %sysfunc(open(&cp_lib..&member));
  %if &id > 0 %then %do;
    %let engine = %upcase(%sysfunc(attrc(&id, engine)));
    %let label = %qsysfunc(attrc(&id, label));
    %let id = %sysfunc(close(&id));
    %if &engine ne V9 and &engine ne SPDE %then %let label = &cp_mark;
    %if %superq(label) = &cp_mark and %cp_count(&cp_lib..&member) = &cp_rows %then
      %let saved = 1;
  %end;
  &saved
%mend cp_saved;

%macro cp_main;
  %local cp_program cp_code cp_message cp_note cp_options cp_occurrence cp_dataset cp_rows
    cp_columns cp_rejected cp_unreadable cp_sha cp_lib cp_logged cp_work cp_mark cp_metaurl
    cp_metapath cp_dataurl cp_datapath cp_http cp_first cp_kinds cp_digits cp_room cp_lrecl
    cp_classes cp_all_bytes;
  %let cp_program = stpDownloadFile;
  %cp_begin
  %cp_stage(cp_check_settings)
  %cp_stage(cp_open_log)
  %cp_stage(cp_plan_name)
  %cp_stage(cp_plan_scanner)
  %cp_stage(cp_open_library)
  %cp_stage(cp_copy_stream)
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

/* Where the two files above could not be read there is nothing to run, but an answer. */
%macro cp_start;
  %if %sysmacexist(cp_end) %then %cp_main;
  %else %do;
    data _null_;
      file _webout;
      put '<stpResult><status>error</status><code>settings</code>';
      put '<message>The files below cp_root could not be read.</message></stpResult>';
    run;
  %end;
%mend cp_start;

%cp_start
