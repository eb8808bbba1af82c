const UNRELEASED = "## [Unreleased]\n";

/**
 * Returns a changelog in which everything under `[Unreleased]` is under `version` and the day of `date`, UTC. pi shows
 * the sections of an update by such headings.
 * @throws if nothing is unreleased, or if the version is invalid or already has a section
 */
export function stamped(changelog: string, version: string, date: Date): string {
	if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) throw new Error(`"${version}" is no version`);
	if (changelog.includes(`## [${version}]`)) throw new Error(`CHANGELOG.md has a section for ${version} already`);
	const [before, after] = changelog.split(UNRELEASED);
	if (before === undefined || after === undefined) throw new Error(`CHANGELOG.md has no line "${UNRELEASED.trim()}"`);
	const [news = "", ...older] = after.split(/^(?=## \[)/m);
	if (news.trim() === "") throw new Error("CHANGELOG.md says nothing of what is released");
	const heading = `## [${version}] - ${date.toISOString().slice(0, 10)}\n`;
	return `${before}${UNRELEASED}\n${heading}${news}${older.join("")}`;
}
