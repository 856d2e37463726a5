# Completion of starget for bash. In ~/.bashrc:  source <(starget completion bash)
_starget() {
    # bash breaks words at ':', '=' and '@'; here they are put together again.
    local rest=${COMP_LINE:0:COMP_POINT} words=() word piece blank i line
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == 0)); then
            rest=${rest#*"$word"}
            words=("$word")
            continue
        fi
        blank=${rest%%[![:space:]]*}
        rest=${rest#"$blank"}
        if [[ -n $word && $rest == "$word"* ]]; then
            piece=$word
            rest=${rest#"$word"}
        else
            piece=$rest
            rest=
        fi
        if [[ -n $blank ]]; then
            words+=("$piece")
        else
            words[${#words[@]} - 1]+=$piece
        fi
    done
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(printf '%s\0' "${words[@]}" |
        STARGET_COMPLETE_BREAKS=$COMP_WORDBREAKS command starget __complete bash 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:=@] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _starget starget
