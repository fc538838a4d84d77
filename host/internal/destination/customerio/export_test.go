package customerio

import "net/http"

// SetTransport replaces the network.
func (d *Destination) SetTransport(rt http.RoundTripper) { d.client.Transport = rt }
