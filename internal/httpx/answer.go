package httpx

import "net/http"

// answer watches what a handler answers. [http.ResponseController] works on it
// as on what it wraps.
type answer struct {
	http.ResponseWriter

	status int    // 0 until it begins
	bytes  int64  // of its body
	begin  func() // is called before it begins; may be nil
}

// WriteHeader implements [http.ResponseWriter]. What is informational does not
// begin an answer.
func (a *answer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		a.start(status)
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	a.start(http.StatusOK)
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Flush implements [http.Flusher].
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError is what [http.ResponseController.Flush] calls.
func (a *answer) FlushError() error {
	a.start(http.StatusOK)
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap is what [http.ResponseController] finds everything else by.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) start(status int) {
	if a.status != 0 {
		return
	}
	a.status = status
	if a.begin != nil {
		a.begin()
	}
}
