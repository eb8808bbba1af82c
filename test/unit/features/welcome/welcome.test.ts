import { beforeEach, describe, expect, it } from "vitest";
import type { PoolEvent } from "../../../../src/core/events.ts";
import type { FoundSignIn } from "../../../../src/features/welcome/texts.ts";
import { createWelcome, type Welcome } from "../../../../src/features/welcome/welcome.ts";
import { aStateStore, type FakeStateStore } from "../../../support/fakes.ts";

let state: FakeStateStore;
let isHomeEmpty: boolean;
let signIns: FoundSignIn[];
let events: PoolEvent[];
let look: () => Promise<FoundSignIn[]>;
let welcome: Welcome;
beforeEach(() => {
	state = aStateStore();
	isHomeEmpty = true;
	signIns = [];
	events = [];
	look = async () => signIns;
	welcome = createWelcome({
		state,
		findSignIns: () => look(),
		emit: (event) => events.push(event),
		isHomeEmpty: () => isHomeEmpty,
	});
});

const told = async (isOver: () => boolean = () => false) => {
	const words: string[] = [];
	await welcome.begin((text) => words.push(text), isOver);
	return words;
};

describe("the first words in a home without an account", () => {
	it("the first words say what was found on this machine and what to type, once", async () => {
		signIns = [{ tool: "Codex CLI", who: "me@acme.example" }];
		expect(await told()).toEqual([expect.stringMatching(/Codex CLI .*me@acme\.example .*\/multicodex import/)]);
		expect(await told()).toEqual([]);
	});

	it("the first words say how to sign in if nothing was found", async () => {
		expect(await told()).toEqual([expect.stringContaining("/multicodex add")]);
	});

	it("the first words come once more when the last account has left again", async () => {
		await told();
		isHomeEmpty = false;
		expect(await told()).toEqual([]);
		isHomeEmpty = true;
		expect(await told()).toHaveLength(1);
	});

	it("the first words are kept for the next start if the session ends before they are known", async () => {
		expect(await told(() => true)).toEqual([]);
		look = async () => {
			isHomeEmpty = false;
			return [];
		};
		expect(await told()).toEqual([]);
		expect(state.isWelcomed).toBe(false);
	});

	it("the first words leave out what could not be read, and report a defect", async () => {
		look = () => Promise.reject(new TypeError("x is not a function"));
		expect(await told()).toEqual([]);
		expect(events).toMatchObject([{ type: "defect", where: "welcome" }]);
	});
});
