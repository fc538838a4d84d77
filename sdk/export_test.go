package sdk

import (
	"context"
	"net"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// NewServer gives tests the plugin's end of the protocol on a socket of their own.
func NewServer(p Plugin, l net.Listener) (wire.SourceServer, func(context.Context), error) {
	s, err := newServer(p)
	if err != nil {
		return nil, nil, err
	}
	if l != nil {
		s.gate = newGatedListener(l)
	}
	return s, s.listen, nil
}
