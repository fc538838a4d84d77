package payload_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/wellhead-io/wellhead/plugins/javascript/payload"
)

// texts have something of all that JSON can be, and of what it cannot.
var texts = []string{
	`{"a":1,"b":[true,false,null],"c":{"d":"e"},"f":-0.5e+10}`,
	" [ 1 , -2.25 , 3e4 , 5E-6 , 0 , \"x\" ] ",
	`{"long name of a member":"a text that is longer than eight bytes","u":"\u00e9\uD83D\ude00\ud800","e":"\"\\\/\b\f\n\r\t"}`,
	"{\"\xff\xfe\":\"é😀\xc3\x28\",\"\x7f\":\"\u2028\"}",
	`[[[[{"a":[{}]}]]]]`, `"only a string"`, `12`, `-`, `01`, `1.`, `.5`, `1e`, `tru`, `nul`, `[1,]`, `{"a"}`, `{"a":}`, `{,}`, `{"a":1,}`,
	"\"tab\there\"", "\"\x00\"", `"\u12g4"`, `"\x"`, `"cut`, "", " ", "\x00", "{}\x00", `{} {}`, "\ufeff{}",
}

func checkSyntax(t *testing.T, raw []byte) {
	t.Helper()
	_, err := payload.Single(bytes.Clone(raw), "track")
	valid := jsontext.Value(raw).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if valid != (err == nil) {
		t.Fatalf("%q: error %v, but the library says %v", raw, err, valid)
	}
}

func TestWhatIsJSONTheLibrarySays(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	const odd = "\"\\{}[]:,0123456789+-.eEtfnu \t\n\x00\x1f\x7f\x80\xff"
	for _, text := range texts {
		checkSyntax(t, []byte(text))
	}
	for range 200_000 {
		raw := []byte(texts[r.IntN(len(texts))])
		for range 1 + r.IntN(3) {
			at := r.IntN(len(raw) + 1)
			switch c := odd[r.IntN(len(odd))]; {
			case r.IntN(3) == 0:
				raw = append(raw[:at:at], append([]byte{c}, raw[at:]...)...)
			case at == len(raw):
			case r.IntN(2) == 0:
				raw[at] = c
			default:
				raw = append(raw[:at], raw[at+1:]...)
			}
		}
		checkSyntax(t, raw)
	}
}

func TestHowDeepABodyMayBeTheLibrarySays(t *testing.T) {
	for _, depth := range []int{9_999, 10_000, 10_001, 500_000} {
		checkSyntax(t, []byte(strings.Repeat("[", depth)+strings.Repeat("]", depth)))
		checkSyntax(t, []byte(strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth)))
	}
}

func FuzzSyntax(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(checkSyntax)
}
