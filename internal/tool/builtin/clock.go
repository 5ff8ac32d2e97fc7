package builtin

import (
	"context"
	"time"

	"gathering"
	"gathering/internal/tool"
)

type clock func() time.Time

type nowInput struct {
	Zone string `json:"zone,omitempty" jsonschema:"An IANA time zone such as Europe/Lisbon. Default UTC."`
}

type nowOutput struct {
	Time string `json:"time" jsonschema:"The time in RFC 3339"`
	Unix int64  `json:"unix" jsonschema:"Seconds since 1970-01-01 UTC"`
	Zone string `json:"zone" jsonschema:"The time zone that the time is written in"`
}

func (now clock) nowTool() (tool.Tool, error) {
	return tool.New(gathering.ToolSpec{
		Name:        "time.now",
		Description: "Tells the current date and time.",
	}, func(_ context.Context, _ tool.Call, in nowInput) (nowOutput, error) {
		if in.Zone == "" {
			in.Zone = "UTC"
		}
		zone, err := time.LoadLocation(in.Zone)
		if err != nil || in.Zone == "Local" {
			return nowOutput{}, invalid("zone", "must be the name of an IANA time zone, such as Europe/Lisbon")
		}
		t := now().In(zone)
		return nowOutput{t.Format(time.RFC3339), t.Unix(), in.Zone}, nil
	})
}

func noopTool() (tool.Tool, error) {
	return tool.New(gathering.ToolSpec{
		Name:        "bench.noop",
		Description: "Does nothing, for measuring how fast everything around it is.",
	}, func(context.Context, tool.Call, struct{}) (struct{}, error) {
		return struct{}{}, nil
	})
}

// invalid is the error of an argument that its schema allows and its meaning
// does not.
func invalid(argument, problem string) *gathering.Error {
	return fault(gathering.KindInvalid, argument, problem)
}

// fault is an error about one argument, which it names and does not repeat.
func fault(kind gathering.Kind, argument, problem string) *gathering.Error {
	return gathering.NewError(kind, "the call cannot be made as asked").
		WithFields(gathering.FieldError{Field: "arguments." + argument, Problem: problem})
}
