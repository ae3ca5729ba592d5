"""What a node's packet filters would do to a packet: a pure model of iptables (both backends) and of native nftables.

What a rule asks for and the model does not know is answered "may", never guessed."""
