-- One line at the end of a run of wrk: requests, requests per second, p50 and p99 in ms, failed requests.
-- It has no request() or response(), so that wrk calls nothing of it while it measures.
function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format("summary %d %.1f %.4f %.4f %d",
        summary.requests, summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
