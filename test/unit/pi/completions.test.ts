import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { labelProblem } from "../../../src/core/account.ts";
import { completionsFor } from "../../../src/pi/completions.ts";
import { COMMANDS } from "../../support/commands.ts";
import { anAccount, NOW } from "../../support/fakes.ts";
import { isLinear } from "../../support/growth.ts";
import { anId } from "../../support/ids.ts";
import { coreOf, runs } from "../../support/tiers.ts";
import { createCommandHarness } from "../command-harness.ts";

const aLabel = fc
	.oneof(
		fc.constantFrom("work", "work-2", "day job", "Day job", "職場", "émile", "codex", "a b  c", "x=y", "quota"),
		fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }),
	)
	.filter((label) => labelProblem(label) === undefined);
const someLabels = fc.uniqueArray(aLabel, { maxLength: 5 });

const aDeskOf = (labels: readonly string[]) =>
	createCommandHarness(
		labels.map((label, at) =>
			anAccount(label, {
				id: anId(`${at}`),
				enabled: at !== 1,
				needsLogin: at === 2 ? { reason: "revoked", at: NOW } : undefined,
			}),
		),
	);

/** Everything that is offered to who takes an offer and goes on, up to three words behind the subcommand. */
function everyOffer(cli: ReturnType<typeof createCommandHarness>): string[] {
	const found: string[] = [];
	const explore = (typed: string, depth: number) => {
		for (const value of cli.offered(typed) ?? []) {
			found.push(value);
			// All of a kind lead to the same: two of them tell what follows.
			if (depth > 0) explore(`${value} `, depth - 1);
		}
	};
	for (const { name } of COMMANDS) {
		// Twenty values after twenty values are no news.
		explore(`${name} `, ["rotation", "footer", "notify"].includes(name) ? 0 : 2);
	}
	return [...found, ...(cli.offered("") ?? [])];
}

describe("what is offered while a command is typed", () => {
	it("is nothing more once one of the offers is typed in full: an open list would swallow the Enter", () => {
		fc.assert(
			fc.property(someLabels, (labels) => {
				const cli = aDeskOf(labels);
				for (const value of everyOffer(cli)) expect([value, cli.offered(value)]).toEqual([value, null]);
			}),
			runs(5, 200),
		);
	});

	it("goes on with what stands there, and keeps a label of several words together", () => {
		fc.assert(
			fc.property(someLabels, (labels) => {
				const cli = aDeskOf(labels);
				for (const label of labels) {
					const word = /\s/.test(label) ? `"${label}"` : label;
					expect(cli.offered("rename ")).toContain(`rename ${word}`);
				}
				for (const name of COMMANDS.map((command) => command.name)) {
					for (const value of cli.offered(`${name} `) ?? []) expect(value.startsWith(`${name} `)).toBe(true);
				}
			}),
			runs(5, 200),
		);
	});

	it("is on the way to every offer, letter by letter", () => {
		const cli = aDeskOf(["work", "day job", "職場"]);
		for (const value of everyOffer(cli).filter((each) => each.includes(" "))) {
			const begun =
				value.lastIndexOf(" ", value.endsWith('"') ? value.lastIndexOf('"', value.length - 2) : undefined) + 1;
			for (let end = begun; end < value.length; end += 1) {
				const typed = value.slice(0, end);
				// A shorter offer may be whole by then, such as a number of one digit.
				const offers = cli.offered(typed);
				if (offers) expect([typed, offers]).toEqual([typed, expect.arrayContaining([value])]);
			}
		}
	});
});

it.each(coreOf(["a", "a ", '"', '"a ', " "], (piece) => ["a ", '"a '].includes(piece)))(
	"what is offered for a long text of %j is found in time by its length",
	(piece) => {
		const { commands } = aDeskOf(["work"]);
		expect(isLinear((text) => completionsFor(`use ${text} `, commands), piece)).toBe(true);
	},
);
