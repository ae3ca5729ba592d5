"""A certificate authority that signed nothing in a lab; nobody has its key."""

from __future__ import annotations

from typing import Final

OTHER_CA: Final = """-----BEGIN CERTIFICATE-----
MIIBOjCB4qADAgECAgEBMAoGCCqGSM49BAMCMBwxGjAYBgNVBAMMEWFub3RoZXIt
YXV0aG9yaXR5MCAXDTI0MDEwMTAwMDAwMFoYDzIxMjQwMTAxMDAwMDAwWjAcMRow
GAYDVQQDDBFhbm90aGVyLWF1dGhvcml0eTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABBapoZ/zcp4nne3CsylHh11SKdywfZ3Y08nZENBl6sW9kvF5Ptr3oa/thM5Y
TzuQysK8SJ6mM94C998d9opCoB2jEzARMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDRwAwRAIgHpOEPBYH+ZrCR/iISEpLqD/mDr/W7mMhNyuBxUtPp5sCIEMh
zU51+0fnTzUU2+I4W8xDGBg/cGa6Ofq9MqzQ/RzP
-----END CERTIFICATE-----
"""
