/*
   smoke: does this SAS behave as the two programs take for granted? Set cp_root, run it in a
   session of the kind that the stored process server has, read the lines PASS and FAIL in
   the log. The numbers are those of docs/to-verify-on-sas.md. Nothing leaves WORK.

   Reasoned from the SAS 9.4 documentation, not run on SAS.
*/
%let cp_root = C:/SAS/connector-proxy/stored_process;

%include "&cp_root/code/cpCommon.sas";

/* What could not even be computed is a FAIL, too. */
%macro sm_tell(item, what, good);
  %if &good = 1 %then %put PASS &item &what;
  %else %put FAIL &item &what;
%mend sm_tell;

/* XMLV2 with both filerefs TEMP, character references, and our own answer read back. */
%macro sm_xml;
  %local cp_code cp_message cp_occurrence cp_dataset cp_rows cp_columns cp_rejected
    cp_unreadable cp_sha good;
  %let cp_code = 0;
  %let cp_dataset = Spring_5D0B;
  %let cp_rows = 1200;
  filename _webout temp;
  filename smmap "&cp_root/conf/procxmlmap.map";
  %cp_write_answer
  libname smxml xmlv2 xmlfileref=_webout xmlmap=smmap access=readonly;
  %let good = 0;
  data _null_;
    set smxml.stpResult;
    call symputx('good', status = 'ok' and dataSet = 'Spring_5D0B' and rows = 1200);
  run;
  %sm_tell(12, XMLV2 reads TEMP filerefs with a map, &good)
  libname smxml clear;
  filename _webout clear;
  filename smmap clear;
%mend sm_xml;

/* The JSON engine with our map: the length is that of the map, not of the values. */
%macro sm_json;
  %local good;
  filename smjson temp;
  filename smmap "&cp_root/conf/jsonmap.map";
  data _null_;
    file smjson;
    put '[{"columnName": "a", "dataType": "numeric"}, {"columnName": "b"}]';
  run;
  libname smlib json fileref=smjson map=smmap noalldata ordinalcount=none;
  data _null_;
    set smlib.columns(keep=columnName dataType);
    if _n_ = 2 then call symputx('good', columnName = 'b' and missing(dataType)
      and vlength(columnName) = 1024);
  run;
  %sm_tell(18, the JSON engine takes LENGTH from the map, &good)
  libname smlib clear;
  filename smjson clear;
  filename smmap clear;
%mend sm_json;

/* Generated code inside of a DATA step, and an array of columns of different lengths. */
%macro sm_code;
  %local good;
  filename smcode temp;
  data _null_;
    file smcode;
    put 'length a $ 2 b $ 30;';
    put "label a = 'it''s';";
  run;
  data _null_;
    %include smcode;
    array both {*} $ a b;
    both{1} = 'xyz';
    both{2} = 'xyz';
    call symputx('good', a = 'xy' and b = 'xyz' and vlength(b) = 30);
  run;
  %sm_tell(21, generated code declares the columns, &good)
  filename smcode clear;
%mend sm_code;

/* Bytes, lines and windows: what the scanner stands on. */
%macro sm_lines;
  %local a b c d e good;
  filename smbytes temp;
  filename smcopy temp;
  data _null_;
    file smbytes recfm=n;
    length long $ 32767;
    long = repeat('x', 32766);
    put '61'x '0D0A'x '1A'x '0A'x long $char32767. long $char32767. 'END' '0D0A'x;
  run;
  data _null_;
    infile smbytes recfm=n;
    file smcopy recfm=n;
    input byte $char1.;
    put byte $char1.;
  run;
  data _null_;
    length window $ 4096 three $ 3;
    infile smcopy encoding='utf-8' lrecl=33554432 length=bytes termstr=lf truncover end=last
      %if &sysscp = WIN %then ignoredoseof;
    ;
    input @;
    if _n_ = 1 then call symputx('a', bytes = 2);
    if _n_ = 2 then call symputx('b', bytes = 1 and not last);
    if last then do;
      call symputx('c', _n_ = 3 and bytes = 65538);
      place = 65535;
      size = 3;
      input @place three $varying3. size @;
      input @1 window $varying4095. size @;
      call symputx('d', three = 'END' and window = 'xxx');
    end;
  run;
  %sm_tell(11, RECFM N copies every byte, &c)
  %sm_tell(19, TERMSTR LF leaves the CR and a byte 1A does not end the file, &a and &b)
  %sm_tell(22, INPUT goes back and forth in a held line of 65538 bytes, &d)
  %let good = %sysfunc(fopen(smcopy));
  %let e = 0;
  %if &good > 0 %then %do;
    %let e = %eval(%sysfunc(finfo(&good, File Size (bytes))) = 65544);
    %let good = %sysfunc(fclose(&good));
  %end;
  %sm_tell(17, FINFO tells the size of a file, &e)
  filename smbytes clear;
  filename smcopy clear;
%mend sm_lines;

/* Functions and informats. */
%macro sm_values;
  %local a b c d e;
  filename smhash temp;
  data _null_;
    file smhash recfm=n;
    put 'a';
  run;
  data _null_;
    length digest $ 64;
    digest = 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb';
    call symputx('a', input('2026-11-21T08:00:00.5+01:00', e8601dz35.) = '21NOV2026:07:00:00.5'dt
      and input('2026-11-21T08:00:00.25', e8601dt26.) = '21NOV2026:08:00:00.25'dt
      and input('2026-11-21T08:00:00Z', e8601dz35.) = '21NOV2026:08:00:00'dt
      and missing(input('2026-13-01', ?? e8601da10.)));
    call symputx('b', translate('C5'x || 'a', '2.', 'C561'x) = '2.');
    call symputx('c', lowcase(hashing('sha256', 'a')) = digest
      and lowcase(hashing_file('sha256', pathname('smhash'))) = digest);
    call symputx('d', 'a&b=%c;d');
  run;
  data _null_;
    call symputx('e', "%superq(d)" = 'a&b=%c;d');
  run;
  filename smhash clear;
  %sm_tell(31, ISO informats read fractions and zones, &a)
  %sm_tell(32, TRANSLATE works byte by byte, &b)
  %sm_tell(23, HASHING and HASHING_FILE give hexadecimal digits, &c)
  %sm_tell(24, SUPERQ hands a text on as it is, &e)
%mend sm_values;

/* A file that is named by its path: a function assigns the fileref, which outlives the step. One
   that is not there is told by FILEEXIST, a folder is nothing that FOPEN opens. */
%macro sm_path;
  %local a b;
  filename smtemp temp;
  data _null_;
    file smtemp;
    put 'a';
  run;
  data _null_;
    length path folder $ 1024;
    path = pathname('smtemp');
    folder = pathname('work');
    good = fileexist(path) and not fileexist(cats(path, '_none'));
    if filename('smpath', trim(path)) ne 0 or filename('smfolder', trim(folder)) ne 0 then good = 0;
    id = fopen('smpath');
    if id > 0 then rc = fclose(id);
    else good = 0;
    id = fopen('smfolder');
    if id > 0 then do;
      rc = fclose(id);
      good = 0;
    end;
    call symputx('a', good);
  run;
  data _null_;
    infile smpath recfm=n;
    input byte $char1.;
    if _n_ = 1 then call symputx('b', byte = 'a');
  run;
  %sm_tell(41, FILENAME and FOPEN take the path of a file, &a and &b)
  filename smpath clear;
  filename smfolder clear;
  filename smtemp clear;
%mend sm_path;

/* A table that is locked can be read, appended to and replaced by the one who holds it. */
%macro sm_lock;
  %local engine good;
  libname smlib "%sysfunc(pathname(work))" filelockwait=5;
  data smlib.smtable smlib.smrow;
    length a $ 4;
    a = 'x';
  run;
  lock smlib.smtable;
  %let good = %eval(&syslckrc <= 0);
  proc append base=smlib.smtable data=smlib.smrow;
  run;
  data smlib.smtable;
    length a $ 8;
    set smlib.smtable;
  run;
  lock smlib.smtable clear;
  %let good = %eval(&good and &syslckrc <= 0 and %cp_count(smlib.smtable) = 2);
  %sm_tell(33, LOCK lets its holder append and replace, &good)
  %let engine = %cp_engine(smlib.smtable);
  %let good = %eval(&engine = V9);
  %sm_tell(34, ATTRC names the base engine V9, &good)
  data smlib.smrow(replace=no);
    a = 'new';
    output;
    output;
  run;
  %let good = %eval(%cp_count(smlib.smrow) = 1);
  %sm_tell(35, REPLACE NO leaves a dataset that is there, &good)
  proc datasets library=smlib memtype=data nolist;
    delete smtable smrow;
  quit;
  libname smlib clear;
%mend sm_lock;

/* A call without an answer leaves no status behind. */
%macro sm_http;
  %local good;
  filename smout temp;
  proc http url="http://127.0.0.1:1/" method="GET" out=smout timeout=5 nofollowloc;
  run;
  %let good = 1;
  %if %symexist(SYS_PROCHTTP_STATUS_CODE) %then
    %let good = %eval(%length(&SYS_PROCHTTP_STATUS_CODE) = 0);
  %sm_tell(15, PROC HTTP without an answer sets no status, &good)
  filename smout clear;
  %let syscc = 0;
%mend sm_http;

%sm_xml
%sm_json
%sm_code
%sm_lines
%sm_values
%sm_path
%sm_lock
%sm_http
