import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root } from "../../../scripts/bundle.ts";
import { stamped } from "../../../scripts/release/changelog.ts";

const DAY = new Date("2026-11-29T23:59:59Z");
const CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n- A thing.\n\n## [2.9.0] - 2026-01-01\n\n- Old.\n";

it("moves what is unreleased under the version and the day, as pi shows it after an update", () => {
	expect(stamped(CHANGELOG, "3.0.0", DAY)).toBe(
		"# Changelog\n\n## [Unreleased]\n\n## [3.0.0] - 2026-11-29\n\n### Added\n- A thing.\n\n## [2.9.0] - 2026-01-01\n\n- Old.\n",
	);
});

it.each([
	["a version that is none", CHANGELOG, "three"],
	["a version that was released", CHANGELOG, "2.9.0"],
	["a changelog without news", "# Changelog\n\n## [Unreleased]\n\n## [2.9.0] - 2026-01-01\n", "3.0.0"],
	["a changelog without a place for news", "# Changelog\n", "3.0.0"],
])("stamps nothing for %s", (_, changelog, version) => {
	expect(() => stamped(changelog, version, DAY)).toThrow();
});

it("can give the news of this checkout to a version", () => {
	const changelog = readFileSync(join(root, "CHANGELOG.md"), "utf8");
	expect(stamped(changelog, "99.0.0", DAY)).toContain("## [Unreleased]\n\n## [99.0.0] - 2026-11-29\n");
});
