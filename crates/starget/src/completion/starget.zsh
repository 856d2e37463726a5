#compdef starget
# Completion of starget for zsh. In ~/.zshrc, after compinit:  source <(starget completion zsh)
_starget() {
    local -a lines open open_shown closed closed_shown
    local line value shown
    lines=("${(@f)$(printf '%s\0' "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" |
        command starget __complete zsh 2>/dev/null)}")
    for line in "${lines[@]}"; do
        [[ -n $line ]] || continue
        value=${line%%$'\t'*}
        shown=$value
        [[ $line == *$'\t'* ]] && shown="$value  -- ${line#*$'\t'}"
        if [[ $value == *[/:=@] ]]; then
            open+=("$value") open_shown+=("$shown")
        else
            closed+=("$value") closed_shown+=("$shown")
        fi
    done
    (( $#open )) && compadd -S '' -d open_shown -- "${open[@]}"
    (( $#closed )) && compadd -d closed_shown -- "${closed[@]}"
    (( $#open + $#closed ))
}
if [[ ${funcstack[1]} == _starget ]]; then
    _starget "$@"
else
    compdef _starget starget
fi
