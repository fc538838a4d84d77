// Command hello is the smallest plugin: it greets once a second and, killed at
// any instant, goes on counting where its greetings are durable.
package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
)

func main() {
	sdk.Serve(sdk.Plugin{Name: "hello", Version: "1.0.0", Source: sdk.Poll(time.Second, hello)})
}

func hello(ctx context.Context, p *sdk.Poller) error {
	n, _ := strconv.Atoi(string(p.Checkpoint()))
	n++
	greeting, err := sdk.Call{
		Type: "track", Event: "Hello", UserID: "world",
		MessageID: fmt.Sprintf("hello-%d", n),
	}.JSON()
	if err != nil {
		return err
	}
	_, err = p.Emit(ctx, []byte(strconv.Itoa(n)), greeting)
	return err
}
