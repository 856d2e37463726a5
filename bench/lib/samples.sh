# shellcheck shell=bash
# Every single measurement is one JSON line in $SAMPLES; medians and ratios are made of them at the end.

# sample MEASURE SERVER VALUE
sample() {
    printf '{"measure": "%s", "server": "%s", "value": %s}\n' "$1" "$2" "$3" >>"$SAMPLES"
}

# calculate EXPRESSION: with fractions.
calculate() {
    awk "BEGIN { printf \"%.9g\", $1 }"
}
