-- Webhooks with the headers that the agent sends, each of an occurrence of its own; the file is
-- named by the environment, RUN tells the runs apart.
local file = io.open(os.getenv("PAYLOAD"), "rb")
local body = file:read("*a")
file:close()
local run, count, thread = os.getenv("RUN") or "0", 0, 0
local before, id, after = body:match('^(.-"occurrenceId"%s*:%s*")([^"]*)(".*)$')

wrk.method = "POST"
wrk.headers["Content-Type"] = "text/plain;charset=UTF-8"
wrk.headers["User-Agent"] = "CI360"
wrk.headers["Accept"] = "application/json, application/cbor, application/*+json, */*"
wrk.headers["x-ci360-con-inv-trace-id"] = "inv-ev-p2-o2165190-gf40a48ea-02b4-40ec-aa10-7756e95abcb2"

request = function()
  count = count + 1
  return wrk.format(nil, nil, nil, before .. run .. "-" .. count .. after)
end

done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.status + summary.errors.timeout))
end
