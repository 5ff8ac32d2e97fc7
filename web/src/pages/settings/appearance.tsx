import { Card } from "@/kit/page";
import { setTheme, type Theme, useTheme } from "@/shell/theme";

const themes: { theme: Theme; label: string }[] = [
  { theme: "light", label: "Light" },
  { theme: "dark", label: "Dark" },
  { theme: "system", label: "As the system" },
];

// Appearance is how the dashboard looks in this browser.
export function Appearance() {
  const chosen = useTheme();
  return (
    <Card title="Appearance">
      <fieldset className="flex flex-wrap gap-x-6 gap-y-2">
        <legend className="mb-1 text-xs text-soft">The theme, in this browser</legend>
        {themes.map(({ theme, label }) => (
          <label key={theme} className="flex items-center gap-2">
            <input type="radio" name="theme" checked={chosen === theme} onChange={() => setTheme(theme)} />
            {label}
          </label>
        ))}
      </fieldset>
    </Card>
  );
}
