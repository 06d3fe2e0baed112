# bash completion of tcp-checker(1)

_tcp_checker() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  # bash takes --option=value apart at the =.
  if [ "$word" = '=' ]; then word=''; elif [ "$before" = '=' ]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi

  case $before in
    -f | --file | --metrics-file)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return ;;
    --engine)
      mapfile -t COMPREPLY < <(compgen -W 'socket raw auto' -- "$word")
      return ;;
    --netns)
      mapfile -t COMPREPLY < <(compgen -W "$(command ls /run/netns 2>/dev/null)" -- "$word")
      return ;;
    -I | --interface)
      mapfile -t COMPREPLY < <(compgen -W "$(command ls /sys/class/net 2>/dev/null)" -- "$word")
      return ;;
    -[gpnCicrtTsSMOxQ] | --generate | --port | --checks | --vcount | --interval | --concurrency | --rate | --timeout | \
    --threads | --source | --mark | --tos | --syn-interval | --reachable | --interim | --fall | --rise)
      return ;;
  esac
  case $word in
    -*)
      mapfile -t COMPREPLY < <(compgen -W '--target --file --generate --yes --port --all-addresses --ipv4 --ipv6 --checks
        --vcount --loop --interval --concurrency --rate --timeout --threads --source --interface --mark --tos --netns
        --full --linger --engine --syn-interval --verbose --quiet --alive --unreachable --reachable --timestamp --interim
        --outage --json --csv --metrics --metrics-file --fall --rise --help --usage --version' -- "$word") ;;
    *)
      mapfile -t COMPREPLY < <(compgen -A hostname -- "$word")
      if [ "$COMP_CWORD" = 1 ] && [[ watch = "$word"* ]]; then COMPREPLY+=(watch); fi ;;
  esac
}

complete -F _tcp_checker tcp-checker
