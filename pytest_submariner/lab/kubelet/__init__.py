"""The lab kubelet: runs the pods of all nodes of a cluster, and serves exec and logs (`kubelet.Kubelet`, `remote.RemoteCommands`)."""
