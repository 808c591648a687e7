#compdef minke
# Completes `minke` in zsh: asks minke itself.
_minke() {
    local line word
    local -a found
    local files=0
    while IFS= read -r line; do
        if [[ $line == ':files' ]]; then
            files=1
        else
            word=${line%%$'\t'*}
            found+=("${word//:/\\:}${${(M)line:#*$'\t'*}:+:${line#*$'\t'}}")
        fi
    done < <(minke __complete "${(@)words[1,CURRENT]}" 2>/dev/null)
    (( $#found )) && _describe minke found
    (( files )) && _files
}
if [[ $funcstack[1] == _minke ]]; then
    _minke "$@"
else
    compdef _minke minke
fi
