/*
   stpAppendRow: keeps the events of CI 360, one table for each stored process.

   The web service hands over the stream INSTREAM with one row, <Table><InData>..., and no
   files. The program appends the row to the table that is named after the element stpName, all
   columns character, together with the time at which it came. The table is made when the
   first event comes, and gets new columns when an event brings some. An event that is
   already there, told by its guid, is not appended again.

   Reasoned from the SAS 9.4 documentation, not run on SAS.
*/

/* The one line to edit: the folder that holds code, conf, logs and output. */
%let cp_root = C:/SAS/connector-proxy/stored_process;

%include "&cp_root/conf/config.sas";
%include "&cp_root/code/cpCommon.sas";

/* WORK.CP_FIELDS: the elements of the row and the bytes that each takes in the stream, which
   are never less than those of its value. The names come out of a request: only what is a
   SAS name, and there once, may become code. */
%macro cp_find_fields;
  %let cp_rows = 0;
  data work.cp_fields(keep=name width);
    length name note $ 200 tag $ 64 byte $ 1;
    retain name tag ' ' depth inside closed size width 0;
    array used {2000} $ 32 _temporary_;
    infile cpstream recfm=n;
    input byte $char1.;
    if inside and byte = '>' then do;
      inside = 0;
      %cp_end_of_tag
    end;
    else if inside then do;
      size = size + 1;
      if size <= 64 then substr(tag, size, 1) = byte;
      closed = (byte = '/');
    end;
    else if byte = '<' then do;
      inside = 1;
      size = 0;
      closed = 0;
      tag = ' ';
    end;
    else if depth = 3 then width = width + 1;
    if not missing(note) then do;
      call symputx('cp_note', note);
      stop;
    end;
  run;
  %if %length(&cp_note) > 0 %then %do;
    %cp_fail(bad_stream, &cp_note)
  %end;
  %else %if %cp_count(work.cp_fields) < 1 %then %do;
    %cp_fail(bad_stream, The stream has no InData row with elements.)
  %end;
%mend cp_find_fields;

/* Statements: what a tag means. Depth 1 is Table, 2 InData, 3 an element of the row. */
%macro cp_end_of_tag;
  if tag =: '!' then note = 'The stream holds markup that this program does not read.';
  else if tag =: '/' then do;
    if depth = 3 then do;
      %cp_take_field
    end;
    depth = depth - 1;
  end;
  else if tag ne: '?' then do;
    depth = depth + 1;
    if depth = 3 then do;
      name = scan(tag, 1, ' /' || '090A0D'x);
      width = 0;
    end;
    if depth > 3 then note = 'The stream has an element inside an element of its row.';
    if closed then do;
      if depth = 3 then do;
        %cp_take_field
      end;
      depth = depth - 1;
    end;
  end;
%mend cp_end_of_tag;

/* Statements: one element of the row, complete. */
%macro cp_take_field;
  fields + 1;
  if prxmatch('/^[A-Za-z_][A-Za-z0-9_]{0,31}$/', trim(name)) = 0
    or prxmatch('/^(_n_|_error_|_all_|_numeric_|_char_|_character_|_null_|_infile_|_iorc_)$/i',
    trim(name)) > 0 or prxmatch('/^(_cp_.*|cp_received)$/i', trim(name)) > 0 then
    note = 'The stream has an element whose name cannot be that of a column.';
  else if fields > 2000 then note = 'The stream has more than 2000 elements.';
  else if whichc(upcase(name), of used{*}) > 0 then
    note = 'The stream has two elements of the same name or more than one row.';
  else if lowcase(name) in ('datafile' 'metadatafile') and width > 0 then
    note = 'The stream is a task with files: that is for stpDownloadFile.';
  else do;
    used{fields} = upcase(name);
    output;
  end;
%mend cp_take_field;

/* Reads the row with a map made for it, so that the engine does what XML asks for: entities
   and encoding. The row has to be one. */
%macro cp_read_row;
  %cp_write_map
  %cp_open_stream(cpmap)
  %if &cp_code = 0 %then %do;
    data work.cp_row;
      set cpreq.InData;
      cp_received = datetime();
      format cp_received e8601dt26.3;
      label cp_received = 'Received';
    run;
    %if &syserr > 4 or %cp_count(work.cp_row) ne 1 %then %do;
      %cp_fail(bad_stream, The stream does not hold exactly one InData row.)
    %end;
    %else %cp_look_at_row;
  %end;
%mend cp_read_row;

/* Widths are powers of two, since a table is rebuilt whenever a value is longer than before. */
%macro cp_write_map;
  filename cpmap temp;
  data work.cp_fields;
    set work.cp_fields;
    call symputx('cp_columns', _n_);
    if width > 32767 then call symputx('cp_cut', 1);
    width = min(32767, 2 ** ceil(log2(max(16, width))));
  run;
  data _null_;
    file cpmap;
    set work.cp_fields end=last;
    if _n_ = 1 then do;
      put '<?xml version="1.0" encoding="UTF-8"?>';
      put '<SXLEMAP name="row" version="2.1"><NAMESPACES count="0"/><TABLE name="InData">';
      put '<TABLE-PATH syntax="XPath">/Table/InData</TABLE-PATH>';
    end;
    put '<COLUMN name="' name +(-1) '"><PATH syntax="XPath">/Table/InData/' name +(-1) '</PATH>';
    put '<TYPE>character</TYPE><DATATYPE>string</DATATYPE><LENGTH>' width +(-1) '</LENGTH>';
    put '</COLUMN>';
    if last then put '</TABLE></SXLEMAP>';
  run;
%mend cp_write_map;

/* The name of the table, and whether a value has filled its column and may have been cut. The
   elements can have any name, so those of this step begin with _CP_. */
%macro cp_look_at_row;
  data _null_;
    length stpName guid occurrenceId _cp_name $ 512;
    /* Elements that the row may not have. */
    call missing(stpName, guid, occurrenceId);
    set work.cp_row;
    array _cp_texts {*} _character_;
    if symget('cp_cut') = '1' then do _cp_number = 1 to dim(_cp_texts);
      if length(_cp_texts{_cp_number}) > 32763 then call symputx('cp_note', 'too long');
    end;
    _cp_name = coalescec(stpName, 'event');
    %cp_legal(_cp_name, _cp_name)
    _cp_name = cats("&nameprefix", _cp_name);
    %cp_legal(_cp_name, _cp_name)
    _cp_name = substr(_cp_name, 1, 28);
    %cp_not_reserved(_cp_name)
    call symputx('cp_dataset', _cp_name);
    call symputx('cp_guid', not missing(guid));
    call symputx('cp_occurrence', prxchange('s/[^A-Za-z0-9_.:-]//', -1, trim(occurrenceId)));
  run;
  %if %length(&cp_note) > 0 %then %do;
    %cp_fail(bad_stream, The stream has a value of more than 32767 bytes.)
  %end;
%mend cp_look_at_row;

/* Everything that two calls must not do at once happens while this one holds the table. */
%macro cp_append;
  %cp_make_table
  %if &cp_code = 0 %then %cp_lock;
  %if &cp_code = 0 and &cp_guid %then %cp_look_for_event;
  %if &cp_code = 0 and not &cp_known %then %do;
    %cp_compare
    %if &cp_code = 0 %then %do;
      %if &cp_grows %then %cp_rebuild;
      %else %cp_add_row;
    %end;
    %if &cp_code = 0 %then %let cp_rows = 1;
  %end;
%mend cp_append;

/* An empty table, unless there is one. Of two calls at once one makes it. */
%macro cp_make_table;
  %let cp_engine = %cp_engine(&cp_lib..&cp_dataset);
  %if %length(&cp_engine) = 0 %then %do;
    data &cp_lib..&cp_dataset(replace=no);
      set work.cp_row;
      stop;
    run;
    %let syscc = 0;
    %let cp_engine = %cp_engine(&cp_lib..&cp_dataset);
  %end;
  %if %length(&cp_engine) = 0 %then %do;
    %cp_fail(save_failed, The table could not be made in the output library.)
  %end;
%mend cp_make_table;

/* Holds the table of a base library for this call alone; a minute is enough for all that are
   in front of it. Other engines keep order themselves. */
%macro cp_lock;
  %local deadline;
  %if &cp_engine = V9 %then %do;
    %let deadline = %sysevalf(%sysfunc(datetime()) + 60);
    %do %until (&cp_locked or %sysevalf(%sysfunc(datetime()) > &deadline));
      lock &cp_lib..&cp_dataset;
      %if &syslckrc <= 0 %then %let cp_locked = 1;
      %else %do;
        data _null_;
          call sleep(1, 1);
        run;
      %end;
    %end;
    %let syscc = 0;
    %if not &cp_locked %then %do;
      %cp_fail(save_failed, The table is in use by others.)
    %end;
  %end;
%mend cp_lock;

/* Runs whatever happened before it: no lock may outlive the call. */
%macro cp_unlock;
  %if &cp_locked %then %do;
    lock &cp_lib..&cp_dataset clear;
    %let cp_locked = 0;
  %end;
%mend cp_unlock;

/* Sets cp_known when the table has the event already: CI 360 and the proxy may repeat one. */
%macro cp_look_for_event;
  %local id column;
  %let id = %sysfunc(open(&cp_lib..&cp_dataset));
  %let column = %sysfunc(varnum(&id, guid));
  %let id = %sysfunc(close(&id));
  %if &column > 0 %then %do;
    data _null_;
      if _n_ = 1 then set work.cp_row(keep=guid rename=(guid=event));
      set &cp_lib..&cp_dataset(keep=guid);
      if guid = event then do;
        call symputx('cp_known', 1);
        stop;
      end;
    run;
  %end;
%mend cp_look_for_event;

/* Sets cp_grows when the table lacks a column of the row or has one that is too narrow. */
%macro cp_compare;
  data _null_;
    set work.cp_fields end=last;
    retain id wrong grows 0;
    if _n_ = 1 then id = open("&cp_lib..&cp_dataset");
    place = varnum(id, name);
    if place = 0 then grows = 1;
    else if vartype(id, place) = 'N' then wrong = 1;
    else if varlen(id, place) < width then grows = 1;
    if last then do;
      if varnum(id, 'cp_received') = 0 then grows = 1;
      id = close(id);
      call symputx('cp_grows', grows);
      call symputx('cp_wrong', wrong);
    end;
  run;
  %if &cp_wrong %then %do;
    %cp_fail(save_failed, The table has a numeric column of the name of an element.)
  %end;
  %else %if &cp_grows and &cp_engine ne V9 and &cp_engine ne SPDE %then %do;
    %cp_fail(save_failed, The table of the database lacks a column or room in one.)
  %end;
%mend cp_compare;

/* The row in the shape of the table, so that PROC APPEND has nothing to warn of. */
%macro cp_add_row;
  data work.cp_add;
    if 0 then set &cp_lib..&cp_dataset;
    set work.cp_row;
  run;
  proc append base=&cp_lib..&cp_dataset data=work.cp_add;
  run;
  %if &syserr > 0 %then %do;
    %cp_fail(save_failed, The row could not be appended to the table.)
  %end;
%mend cp_add_row;

/* The table again, with all columns in their order, the new ones behind them, and the row.
   Until it is complete the old one stays. */
%macro cp_rebuild;
  %local rows;
  %let rows = %cp_count(&cp_lib..&cp_dataset);
  %cp_write_columns
  data &cp_lib..&cp_dataset;
    %include cpcode;
    set &cp_lib..&cp_dataset work.cp_row;
  run;
  %if &syserr > 4 or %cp_count(&cp_lib..&cp_dataset) ne %eval(&rows + 1) %then %do;
    %cp_fail(save_failed, The table could not be rebuilt with its new columns.)
  %end;
%mend cp_rebuild;

/* Declares the columns of the table, each as wide as the row needs it. The new ones follow
   from the row itself. */
%macro cp_write_columns;
  filename cpcode temp;
  data _null_;
    length name $ 32;
    array names {&cp_columns} $ 32 _temporary_;
    array widths {&cp_columns} _temporary_;
    file cpcode;
    do until (last);
      set work.cp_fields end=last;
      count + 1;
      names{count} = upcase(name);
      widths{count} = width;
    end;
    id = open("&cp_lib..&cp_dataset");
    do place = 1 to attrn(id, 'nvars');
      name = varname(id, place);
      width = varlen(id, place);
      found = whichc(upcase(name), of names{*});
      if found > 0 then width = max(width, widths{found});
      if vartype(id, place) = 'C' then put 'length ' name '$ ' width ';';
      else put 'length ' name width ';';
    end;
    id = close(id);
    stop;
  run;
%mend cp_write_columns;

%macro cp_main;
  %local cp_program cp_code cp_message cp_note cp_options cp_occurrence cp_dataset cp_rows
    cp_columns cp_rejected cp_unreadable cp_sha cp_lib cp_logged cp_work cp_mark cp_cut
    cp_guid cp_known cp_grows cp_wrong cp_locked cp_engine;
  %let cp_program = stpAppendRow;
  %let cp_cut = 0;
  %let cp_guid = 0;
  %let cp_known = 0;
  %let cp_grows = 0;
  %let cp_wrong = 0;
  %let cp_locked = 0;
  %cp_begin
  %cp_stage(cp_check_settings)
  %cp_stage(cp_open_log)
  %cp_stage(cp_open_library)
  %cp_stage(cp_copy_stream)
  %cp_stage(cp_find_fields)
  %cp_stage(cp_read_row)
  %cp_stage(cp_append)
  %cp_unlock
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
