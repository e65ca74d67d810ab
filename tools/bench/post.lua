wrk.method = "POST"
wrk.body = '{"mac":"EF-2B-C4-F5-D6-34","firmware":"2.1.5"}'
wrk.headers["Content-Type"] = "application/json"
