package api

import (
	"context"
	"net/http"

	"gathering/internal/auth"
	"gathering/internal/settings"
)

func (a *API) settingsRoutes() {
	register(a, Operation{
		ID: "read-settings", Method: http.MethodGet, Path: Prefix + "/settings", Tag: tagSettings, Action: auth.SettingsRead,
		Summary: "Read how the service is set up",
	}, a.readSettings)
	register(a, Operation{
		ID: "change-settings", Method: http.MethodPatch, Path: Prefix + "/settings", Tag: tagSettings, Action: auth.SettingsWrite,
		Summary: "Set how the service is to be, from now on and on all instances",
	}, a.changeSettings)
}

func (a *API) readSettings(ctx context.Context, _ *nothing) (*tagged[settings.Current], error) {
	c, err := a.Settings.Read(ctx)
	return revised(c, c.Revision), err
}

func (a *API) changeSettings(ctx context.Context, in *struct {
	Matched
	Keyed

	Body settings.Update
},
) (*tagged[settings.Current], error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	c, err := a.Settings.Update(ctx, in.Body, revision)
	return revised(c, c.Revision), err
}
