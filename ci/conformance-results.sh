#!/usr/bin/env bash
# Reads the report of the OCI conformance suite and fails unless what has to pass did:
# ci/conformance-results.sh <version> all|read-only < report
#
#   all        every API and every kind of data. What a version of the spec does not have is "Disabled" in it; only the
#              coming one ("dev") has everything.
#   read-only  every API that reads, and nothing else was asked.
set -euo pipefail

awk -v version="$1" -v mode="$2" '
    BEGIN {
        split("Ping|Tag listing|Blob get|Blob head|Manifest get by digest|Manifest get by tag|Manifest head by digest|Manifest head by tag|Referrers", reads, "|")
        least_apis = mode == "all" ? 20 : length(reads)
        least_data = mode == "all" ? 10 : 1
    }
    /^API conformance:/  { section = "API" }
    /^Data conformance:/ { section = "data" }
    section && /\.+: / {
        status = $NF
        name = $0
        sub(/^ +/, "", name)
        sub(/\.+: .*/, "", name)
        counts[section, status]++
        seen[section]++
        result[section, name] = status
        if (status == "Pass") next
        if (status == "Disabled" && (section == "data" || version != "dev" || mode == "read-only")) next
        # What the suite does not try without pushing first.
        if (status == "Unknown" && mode == "read-only") next
        print "not passed (" section "): " name ": " status
        bad = 1
    }
    END {
        printf "OCI_VERSION=%s, %s: APIs: %d of %d passed; data: %d of %d passed\n", version, mode,
            counts["API", "Pass"], seen["API"], counts["data", "Pass"], seen["data"]
        if (mode == "read-only")
            for (i in reads)
                if (result["API", reads[i]] != "Pass") {
                    print "not passed (API): " reads[i] ": " result["API", reads[i]]
                    bad = 1
                }
        if (counts["API", "Pass"] < least_apis || counts["data", "Pass"] < least_data) {
            print "the report does not look like one: too few lines passed"
            bad = 1
        }
        exit bad
    }'
