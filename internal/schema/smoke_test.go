package schema_test

import (
	"encoding/json"
	"testing"

	"gathering/internal/schema"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	for _, d := range []string{``, `3`, `{"type":"strng"}`, `{"properties":{"a":{"type":3,"minimum":"x"}}}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"#/$defs/x"}`, `{"pattern":"(?=a)"}`, `{"$schema":"http://x.y/z"}`, `{"properties":{"a":{"$ref":"#foo"}}}`, `{"minimum":1e-99999999}`, `{"$id":"http://a/b","$ref":"#/properties"}`, `{"allOf":[{"pattern":"["}]}`, `{"multipleOf":0}`, `{"required":["a","a"]}`} {
		_, err := schema.Compile(json.RawMessage(d))
		t.Logf("%s\n\t\t%v", d, err)
	}
	s, err := schema.Compile(json.RawMessage(`{"type":"object","required":["a","b"],"additionalProperties":false,"properties":{"a":{"type":"integer","minimum":2.5},"b":{"enum":["x","y",1]},"c":{"anyOf":[{"type":"string"},{"type":"null"}]},"d":{"type":"array","items":{"type":"string","minLength":2,"pattern":"^a"},"uniqueItems":true},"e":{"oneOf":[{"type":"object","properties":{"kind":{"const":"one"},"x":{"type":"integer"}}},{"type":"object","properties":{"kind":{"const":"two"},"y":{"type":"integer"}}}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{`{}`, `3`, `{"a":"x","b":"z","z":1}`, `{"a":1,"b":1.0,"c":3,"d":["b",3,"b"]}`, `{"a":123456789012345678901234567890,"b":"x","e":{"kind":"two","y":"no"}}`, `{"a":1e-99999999}`, `{"a":3.0,"b":1}`} {
		t.Logf("%s\n\t\t%v", v, s.Validate("input", json.RawMessage(v)))
	}
}
