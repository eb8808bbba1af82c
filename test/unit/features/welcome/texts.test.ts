import { describe, expect, it } from "vitest";
import { welcome } from "../../../../src/features/welcome/texts.ts";

describe("the first words in a home", () => {
	const found = (tool: string, who?: string) => ({ tool, who });

	it("first words name what one tool keeps, as far as that has a name", () => {
		expect(welcome([found("Codex CLI", "me@acme.example")])).toMatch(
			/^Codex CLI login me@acme\.example .*\/multicodex import .* it\.$/,
		);
		expect(welcome([found("opencode")])).toMatch(/^opencode login found\. /);
	});

	it("first words count what several keep", () => {
		const many = [found("Codex CLI", "a@x.example"), found("prodex", "b@x.example"), found("prodex")];
		expect(welcome(many)).toMatch(/^3 Codex logins .*\(Codex CLI, prodex\)\. .* them\.$/);
	});
});
