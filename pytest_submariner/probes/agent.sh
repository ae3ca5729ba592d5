# Listener and connector of probe pods whose image has no Python: POSIX sh, and busybox's nc, ping, mkfifo, sha256sum.
#
# It speaks the protocol of agent.py (request line, greeting, answers, trailer), by the same words, but slower and with less:
# no round-trip times by TCP and UDP, no path MTU, no bulk data. What it cannot measure is answered with the outcome `unsupported`.
# It travels in an environment variable, where Kubernetes would expand a dollar sign followed by a name in parentheses or by another
# dollar sign: hence the backquotes.
#
#     sh -c "…" sh listen PORT                 answer TCP and UDP on PORT until SIGTERM
#     sh -c "…" sh connect                     read one JSON line from stdin, run all its probes, write a JSON line for each
#     sh -c "…" sh ask PROTOCOL ADDRESS PORT   one probe by hand
#
# On the wire: a line `SMP1 TOKEN …` of the size asked for, answered by a line as long: the listener's report as in agent.py.
# nc serves one peer at a time and tells who it is only on stderr (-v). Who comes meanwhile is refused or reset; therefore a
# refusal counts only after some seconds of trying.

largest=65536
at_once=4
patience=30

explain() { # the last words of nc, without what JSON would have to escape
    printf %s "$1" | tr '\n' ' ' | tr -d '\\"\000-\037' | tail -c 160
}

now() { # seconds since boot
    read -r up _ </proc/uptime
    now=${up%.*}
}

# --- the listener

respond() { # what the listener knows about the line it received, as long as that line
    sum=`printf %s "$line" | sha256sum`
    body="{\"name\":\"$SUBMARINER_PROBE_NAME\",\"seen\":\"$seen\",\"sha256\":\"${sum%% *}\"}"
    printf "%-${#line}s\n" "$body"
}

answer() { # reads what nc says and receives, writes what nc shall send
    seen=
    while read -r line; do
        case $line in
        "connect to "*\(*\)*) seen=${line##*\(} seen=${seen%%:*} ;;
        "SMP1 "*) respond && return ;;
        esac
    done
}

serve() { # tcp, or udp: nc never knows when a peer that speaks UDP has done, so it is told
    protocol=$1
    shift
    while :; do
        nc "$@" -l -n -v -w 10 -p "$port" <"$room/$protocol.in" >"$room/$protocol.out" 2>&1 &
        server=$!
        answer >"$room/$protocol.in" <"$room/$protocol.out" # in the order in which nc's shell opens them
        if [ "$protocol" = udp ]; then
            sleep 0.1
            kill "$server" 2>/dev/null
        fi
        wait "$server"
    done
}

listen() {
    port=$1
    for room in /dev/shm /tmp /run; do
        room=$room/submariner-probe-$port-${SUBMARINER_PROBE_NAME:-listener}
        rm -rf "$room" 2>/dev/null
        if mkdir "$room" 2>/dev/null && mkfifo "$room/tcp.in" "$room/tcp.out" "$room/udp.in" "$room/udp.out"; then
            break
        fi
        room=
    done
    if [ -z "$room" ]; then
        echo "cannot listen: no folder for named pipes (/dev/shm, /tmp, /run)" | tee /dev/termination-log >&2
        exit 1
    fi
    trap 'rm -rf "$room"; trap - TERM; kill 0; exit 0' TERM INT
    echo "listening on TCP and UDP port $port by nc"
    serve tcp -s 0.0.0.0 &
    serve udp -u -s "${SUBMARINER_PROBE_ADDRESS:-0.0.0.0}" &
    wait
}

# --- the connector

fill() { # a line of $1 characters that nobody else sends
    token=`head -c 16 /dev/urandom | od -An -v -tx1 | tr -d ' \n'`
    line="SMP1 $token "
    while [ ${#line} -lt "$1" ]; do
        line=$line$token$token$token$token
    done
    line=`printf %s "$line" | head -c "$1"`
}

understand() { # sets the outcome from what nc said ($1) in $2 seconds
    sum=`printf %s "$line" | sha256sum`
    sum=${sum%% *}
    seen= listener= error= received=0
    report=`printf '%s\n' "$1" | grep '^{"name":"' | head -n 1`
    if [ -n "$report" ]; then
        seen=${report#*\"seen\":\"} seen=${seen%%\"*}
        listener=${report#*\"name\":\"} listener=${listener%%\"*}
        received=${#report}
        case $report in
        *"$sum"*) outcome=answered ;;
        *) outcome=mismatch error="the listener received other bytes than were sent" ;;
        esac
        return
    fi
    error=`explain "$1"`
    case $1 in
    *refused*) outcome=refused ;;
    *"not found"* | *"ermission denied"* | *"not permitted"* | *"nvalid option"* | *"nrecognized option"* | *sage:*) outcome=unsupported ;;
    *nreachable* | *"o route"*) outcome=unreachable ;;
    *reset*) outcome=reset ;;
    *open*)
        if [ "$protocol" = udp ]; then
            outcome=timeout
        elif [ "$2" -ge "$timeout" ]; then
            outcome=stalled error="silence after the handshake"
        else
            outcome=reset error="closed after the handshake"
        fi
        ;;
    *) outcome=timeout ;;
    esac
}

ask_once() { # one attempt: sets outcome, error, seen, listener, received, rtt
    rtt=null seen= listener= error= received=0
    now && began=$now
    if [ "$size" -gt "$largest" ]; then
        outcome=unsupported error="the shell prober sends $largest bytes at most, not $size"
        return
    fi
    case $protocol in
    tcp)
        fill "$size"
        said=`printf '%s\n' "$line" | nc -n -v -w "$timeout" "$address" "$port" 2>&1`
        now && understand "$said" $((now - began))
        ;;
    udp)
        fill "$size"
        said=`printf '%s\n' "$line" | nc -u -n -v -w 1 "$address" "$port" 2>&1`
        understand "$said" 1
        ;;
    icmp)
        said=`ping -c 1 -W "$timeout" -s "$size" "$address" 2>&1`
        error=`explain "$said"`
        case $said in
        *time=*)
            outcome=answered error= received=$size
            rtt=${said#*time=} rtt=${rtt%% *}
            ;;
        *nreachable*) outcome=unreachable ;;
        *"ermitted"* | *"enied"* | *"not found"*) outcome=unsupported ;;
        *) outcome=timeout error="no reply" ;;
        esac
        ;;
    *) outcome=unsupported error="the shell prober cannot ask by $protocol" ;;
    esac
}

quoted() {
    if [ -n "$1" ]; then
        printf '"%s"' "$1"
    else
        printf null
    fi
}

ask() { # one probe with its attempts
    history= tries=0 settling=0
    now && start=$now
    while [ "$tries" -lt "$attempts" ]; do
        ask_once
        now
        if [ "$now" -lt $((start + patience)) ] && { [ "$outcome" = refused ] || [ "$outcome" = reset ]; }; then
            settling=$((settling + 1))
            sleep "0.$((settling % 4 + 1))$((number % 10))"
            continue
        fi
        tries=$((tries + 1)) history="$history${history:+,}\"$outcome\""
        case $outcome in answered | unsupported) break ;; esac
    done
    now
    printf '{"id":"%s","outcome":"%s","attempts":%d,"history":[%s],"settling":%d,"rtt_ms":%s,"seen":%s,"listener":%s,"error":"%s","sent":%d,"received":%d,"duration_s":%d}\n' \
        "$id" "$outcome" "$tries" "$history" "$settling" "$rtt" "`quoted "$seen"`" "`quoted "$listener"`" "$error" "$size" "$received" $((now - start))
}

addresses() { # every IPv4 address of this network namespace, as JSON strings
    found=
    while read -r first second third _; do
        case $first in
        "|--") last=$second ;;
        /32) case "$second $third:$found" in
            "host LOCAL:"*"\"$last\""*) ;;
            "host LOCAL:"*) found="$found${found:+,}\"$last\"" ;;
            esac ;;
        esac
    done </proc/net/fib_trie
    printf %s "$found"
}

field() { # the number or word $1 of the JSON object $2, into $value
    value=${2#*\"$1\":} value=${value#\"} value=${value%%[\",\}]*}
}

walk() { # greeting, then every probe of $request, some at a time
    printf '{"hello":{"version":1,"name":"%s","hostname":"%s","python":"","addresses":[%s],"mtu":null}}\n' \
        "$SUBMARINER_PROBE_NAME" "`hostname`" "`addresses`"
    waiting=${request#*\"probes\":\[} number=0
    while :; do
        case $waiting in *"}"*"}"*) ;; *) break ;; esac
        probe=${waiting%%\}*} waiting=${waiting#*\}} number=$((number + 1))
        field id "$probe" && id=$value
        field protocol "$probe" && protocol=$value
        field address "$probe" && address=$value
        field port "$probe" && port=$value
        field size "$probe" && size=$value
        ask </dev/null &
        [ $((number % at_once)) -ne 0 ] || wait
    done
    wait
}

prove() { # passes lines on, then says how many there were, and their digest
    all= answers=-1
    while read -r line; do
        printf '%s\n' "$line"
        all="$all$line
" answers=$((answers + 1))
    done
    sum=`printf %s "$all" | sha256sum`
    printf '{"trailer":{"nonce":"%s","answers":%d,"digest":"%s"}}\n' "$nonce" "$answers" "${sum%% *}"
}

connect() {
    read -r request
    case $request in
    '{"version":1,'*'"probes":['*) ;;
    *)
        echo "not a request of version 1" >&2
        exit 2
        ;;
    esac
    field nonce "$request" && nonce=$value
    field attempts "$request" && attempts=$value
    field timeout_s "$request" && timeout=${value%%.*}
    [ "${timeout:-0}" -ge 1 ] || timeout=1
    walk | prove
}

case ${1:-} in
listen) listen "$2" ;;
connect) connect ;;
ask)
    id=ask protocol=${2:-} address=${3:-} port=${4:-0} attempts=1 timeout=5 number=1 size=56
    case $protocol in tcp) size=3000 ;; udp) size=512 ;; esac
    ask
    [ "$outcome" = answered ]
    ;;
*)
    echo "usage: listen PORT | connect | ask tcp|udp|icmp ADDRESS [PORT]" >&2
    exit 2
    ;;
esac
