# Completes `minke` in fish: asks minke itself.
function __minke_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in (minke __complete $words "$current" 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c minke -f -a '(__minke_complete)'
