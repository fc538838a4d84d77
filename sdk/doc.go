// Package sdk is what the author of a Wellhead source plugin reads.
//
// A plugin is a program. Its host starts it, keeps it alive, binds its socket,
// gives it its settings and takes its events. The host judges each event
// against schemas, stores the good ones durably and keeps the refused ones
// with the reasons. A plugin reads from the world and emits; that is all.
//
// # A source that asks
//
// Most sources ask something for what is new, now and then. Poll makes one
// from a function:
//
//	func main() {
//		sdk.Serve(sdk.Plugin{Name: "hello", Version: "1.0.0", Source: sdk.Poll(time.Second, hello)})
//	}
//
//	func hello(ctx context.Context, p *sdk.Poller) error {
//		n, _ := strconv.Atoi(string(p.Checkpoint()))
//		n++
//		e, err := sdk.Call{
//			Type: "track", Event: "Hello", UserID: "world",
//			MessageID: fmt.Sprintf("hello-%d", n),
//		}.JSON()
//		if err != nil {
//			return err
//		}
//		_, err = p.Emit(ctx, []byte(strconv.Itoa(n)), e)
//		return err
//	}
//
// Emit returns when the events are durable, and the checkpoint becomes durable
// after them, never before. So a plugin that is killed at any instant goes on
// where its events are safe. It may read some of them again: events that carry
// the same MessageID are dropped by the host. That is the whole contract: give
// the same happening the same MessageID, and nothing is lost or doubled.
//
// # A source that is spoken to
//
// HTTP makes a source from an http.Handler. The host binds the socket, so that
// a crash or an upgrade of the plugin refuses no connection. The handler finds
// the source by its API key and answers when Emit has returned:
//
//	stream, err := sources.ByKey(key)   // ErrUnknownKey: 401, ErrNotRunning: 503
//	verdict, err := stream.Emit(ctx, sdk.Batch{Events: events})
//
// The verdict names each refused event and why; everything else is durable. A
// *NotStored says that nothing is, and when the client should come again.
//
// # Growing
//
// Run of Source is the one method that is required; Poll and HTTP have written
// it for you. What else a plugin can do it says by having the method: Check
// looks whether the settings work, Discover lists what could be read, Listen
// serves a socket that speaks something other than HTTP.
package sdk
