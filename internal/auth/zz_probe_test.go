package auth
import "testing"
func TestProbeIdem(t *testing.T) {
	for r := rune(0x80); r < 0x110000; r++ {
		for _, s := range []string{"a"+string(r)+"@x.com", "a@x"+string(r)+".com", string(r)+"\u0301\u0307@x.com", "a"+string(r)+"\u0345@b.c"} {
			a, ok := normalEmail(s)
			if !ok { continue }
			b, ok2 := normalEmail(a)
			if !ok2 || a != b { t.Errorf("%U %q -> %q -> %q %v", r, s, a, b, ok2) }
		}
	}
}
