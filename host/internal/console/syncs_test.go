package console_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

func TestSyncsAreListedAndToldWhatToDo(t *testing.T) {
	const odd = "people & deals/ü?"
	listed := console.Syncs{Source: "crm", State: "running", Syncs: everything().Sources[0].Syncs}
	answers := []console.SyncAnswer{{Sync: odd}, {Sync: "b", Error: &console.Error{Code: "paused", Message: "it is paused", Hint: "resume it"}}}
	unknown := &console.Error{Code: console.CodeUnknownSync, Message: "no such sync"}
	h := &fake{
		syncs: func(source event.SourceID) (console.Syncs, error) {
			if source != "crm" {
				return console.Syncs{}, &console.Error{Code: console.CodeUnknownSource, Message: "no such source"}
			}
			return listed, nil
		},
		command: func(source event.SourceID, sync string, action console.SyncAction) ([]console.SyncAnswer, error) {
			switch {
			case source != "crm" || action != "pause":
				t.Errorf("%s is asked to %s", source, action)
			case sync == odd:
				return answers, nil
			}
			return nil, unknown
		},
	}
	c := start(t, h, shortDir(t)).dial(t)
	if got, err := c.Syncs(t.Context(), "crm"); err != nil || !reflect.DeepEqual(got, listed) {
		t.Errorf("got %+v, %v", got, err)
	}
	var e *console.Error
	if _, err := c.Syncs(t.Context(), "cmr"); !errors.As(err, &e) || e.Code != console.CodeUnknownSource {
		t.Errorf("error %v", err)
	}
	if got, err := c.SyncCommand(t.Context(), "crm", odd, "pause"); err != nil || !reflect.DeepEqual(got, answers) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := c.SyncCommand(t.Context(), "crm", "", "pause"); !errors.As(err, &e) || *e != *unknown {
		t.Errorf("error %v", err)
	}
}
