-- A webhook with the headers that the agent sends; the file is named by the environment.
local file = io.open(os.getenv("PAYLOAD"), "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "text/plain;charset=UTF-8"
wrk.headers["User-Agent"] = "CI360"
wrk.headers["Accept"] = "application/json, application/cbor, application/*+json, */*"
wrk.headers["x-ci360-con-inv-trace-id"] = "inv-ev-p2-o2165190-gf40a48ea-02b4-40ec-aa10-7756e95abcb2"
file:close()

done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.status + summary.errors.timeout))
end
