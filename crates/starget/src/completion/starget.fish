# Completion of starget for fish. In ~/.config/fish/config.fish:  starget completion fish | source
function __starget_complete
    set -l words (commandline -opc) (commandline -ct)
    printf '%s\0' $words | command starget __complete fish 2>/dev/null
end
complete -c starget -e
complete -c starget -f -k -a '(__starget_complete)'
