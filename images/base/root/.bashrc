# What interactive shells begin with.
PS1='\u@\h:\w\$ '
HISTCONTROL=ignoreboth
shopt -s checkwinsize
alias ls='ls --color=auto'
alias ll='ls -l'
