import { existsSync, mkdirSync, renameSync, symlinkSync, watch } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { answers, tokenAnswers } from "../support/fake-codex/index.ts";
import { type HostName, hostNames, repositoryRoot } from "../support/hosts.ts";
import type { Rpc } from "../support/rpc.ts";
import { startTerminal } from "../support/terminal.ts";
import { coreOf, endHosts, isAtAnEnd } from "../support/tiers.ts";
import {
	bearerOf,
	benchWithExpiredLogin,
	keptCredential,
	loginOfPi,
	signPiInAs,
	signPiOut,
	storedLabels,
} from "./credentials-support.ts";
import { type Bench, createBench } from "./support.ts";

/** Refused usage calls leave the accounts in the order of the list. */
const usage = answers.serverError(500);
const hosts = hostNames.map((host) => ({ host }));
const newerHosts = hosts.filter(({ host }) => host !== "0.73.1");

describe.each(endHosts.map((host) => ({ host })))("the refreshToken hook on pi $host", ({ host }) => {
	/** Loads the extension, and tells what its hook does with a login before and after anything can have happened. */
	function spyOn(bench: Bench): string {
		bench.dir.write(
			"spy.ts",
			`import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
			import multicodex from ${JSON.stringify(join(repositoryRoot, "index.ts"))};
			export default async function spy(pi) {
				let oauth;
				await multicodex(new Proxy(pi, {
					get: (target, name) => name !== "registerProvider" ? target[name] : (provider, config) => {
						oauth = config.oauth;
						target.registerProvider(provider, config);
					},
				}));
				pi.on("session_start", async () => {
					const login = { access: "no token", refresh: "none either", expires: 1, more: { kept: true } };
					const before = JSON.stringify(login);
					let given;
					mkdirSync(${JSON.stringify(bench.dir.path("auth.json.lock"))});
					oauth.refreshToken(login, new AbortController().signal).then((result) => { given = result; });
					// One turn of the microtask queue: whatever waits for anything is not back yet.
					await null;
					rmdirSync(${JSON.stringify(bench.dir.path("auth.json.lock"))});
					const isUnchanged = given === login && JSON.stringify(given) === before;
					writeFileSync(${JSON.stringify(bench.dir.path("seen.json"))}, JSON.stringify({ isUnchanged, key: oauth.getApiKey(login) }));
				});
			}`,
		);
		return bench.dir.path("spy.ts");
	}

	it("gives its argument back unchanged and at once, while the lock of auth.json is held", async () => {
		const bench = await createBench({ host, usage, accounts: [], strangers: ["a"] });
		signPiInAs(bench, "a", { expiresInMs: -60_000 });
		const rpc = bench.rpc([], { extension: spyOn(bench) });

		await vi.waitFor(() => expect(existsSync(bench.dir.path("seen.json"))).toBe(true), 20_000);

		expect(bench.dir.readJson("seen.json")).toEqual({ isUnchanged: true, key: "no token" });
		expect(bench.codex.tokenRequests()).toEqual([]);
		await rpc.close();
	});
});

describe.each(coreOf(newerHosts))("a token that has run out, on pi $host", ({ host }) => {
	it("is exchanged to the end although the turn is aborted, and the next turn has the new one", async () => {
		const bench = await benchWithExpiredLogin("pi", [], { host });
		bench.codex.account("a").token(tokenAnswers.delay(2_500, { rotate: "before" }));
		const rpc = bench.rpc();

		await rpc.send("say hi");
		const exchange = await bench.codex.waitFor(({ kind }) => kind === "token", 30_000);
		await rpc.abort();
		expect((await rpc.settled()).stopReason).toBe("aborted");

		expect(exchange.endedAt).toBeUndefined();
		await vi.waitFor(() => expect(loginOfPi(bench)?.refresh).not.toBe(bench.spent.refresh), 30_000);
		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: "OK from a #1" });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(keptCredential(bench, "pi")?.access);
	});

	it("does not keep a request from another account when the token endpoint refuses it", async () => {
		const bench = await benchWithExpiredLogin("pi", ["b"], { host });
		bench.codex.account("a").token(tokenAnswers.permanent("refresh_token_expired"));

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		expect(result.stderr).not.toContain("OAuth refresh failed");
		expect(bench.stored("a").needsLogin?.reason).toBe("refresh_token_expired");
	});
});

it("locks a symlinked auth.json where pi's start-up does, not at the file behind it", async () => {
	const bench = await benchWithExpiredLogin("pi");
	const folder = join(bench.dir.home, "dotfiles");
	mkdirSync(folder);
	renameSync(bench.dir.path("auth.json"), join(folder, "auth.json"));
	symlinkSync(join(folder, "auth.json"), bench.dir.path("auth.json"));
	bench.codex.account("a").token(tokenAnswers.delay(2_000, { rotate: "before" }));
	const running = bench.spawn(["-p", "say hi"]);

	const exchange = await bench.codex.waitFor(({ kind }) => kind === "token", 30_000);
	const locks = [bench.dir.path("auth.json.lock"), join(folder, "auth.json.lock")].map((path) => existsSync(path));
	expect(exchange.endedAt).toBeUndefined();

	expect(locks).toEqual([true, false]);
	expect(await running.wait()).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
});

it("takes pi's lock for an exchange, and for nothing else while pi runs", async () => {
	// On a socket that stays open no request would meet the expired token.
	const bench = await createBench({ usage, accounts: ["b"], strangers: ["a"], settings: { transport: "sse" } });
	signPiInAs(bench, "a");
	const rpc = bench.rpc();
	await rpc.prompt("the first request may still have to link the login");
	let locked = 0;
	const watcher = watch(bench.dir.dir, (_event, name) => {
		if (name === "auth.json.lock") locked += 1;
	});
	onTestFinished(() => watcher.close());

	await rpc.send("/multicodex use a");
	for (const text of ["one", "two", "three"]) expect(await rpc.prompt(text)).toMatchObject({ stopReason: "stop" });
	await rpc.send("/multicodex show");
	// What the watcher has to tell of all this comes before what it tells of the exchange.
	const lockedBefore = locked;
	bench.codex.account("a").expireAccessTokens();
	expect(await rpc.prompt("four")).toMatchObject({ stopReason: "stop" });
	await vi.waitFor(() => expect(locked).toBeGreaterThan(lockedBefore));

	expect(bench.codex.tokenRequests()).toHaveLength(1);
	expect(lockedBefore).toBe(0);
});

it("keeps what it renewed when pi, which still remembers the old login, stores another provider's key", async () => {
	const bench = await benchWithExpiredLogin("pi");
	const terminal = startTerminal(bench.host, bench.dir, [], { env: { PI_MULTICODEX_AUTH_URL: bench.codex.issuer } });
	onTestFinished(async () => {
		await terminal.stop();
	});
	await terminal.ready();
	await terminal.submit("say hi");
	await terminal.waitForText("OK from a #1");
	const renewed = loginOfPi(bench);
	expect(renewed?.refresh).not.toBe(bench.spent.refresh);

	await terminal.submit("/login");
	await terminal.waitForText(/→ (Use a subscription|Sign in with an account)/);
	await terminal.press("down", "enter");
	await terminal.waitForText("Select provider");
	await terminal.type("groq");
	await terminal.waitForText("→ Groq");
	await terminal.press("enter");
	await terminal.waitForText(/API key/);
	await terminal.type("key-of-groq");
	await terminal.press("enter");
	await expect.poll(() => bench.dir.read("auth.json"), { timeout: 10_000 }).toContain("key-of-groq");

	await terminal.waitForText("Saved API key for Groq");
	expect(loginOfPi(bench)).toEqual(renewed);
	await terminal.submit("say hi");
	await terminal.waitForText("OK from a #2");
	expect(bench.codex.tokenRequests()).toHaveLength(1);
});

/** How a prompt ended, in the words that a person sees. */
async function outcomeOf(rpc: Rpc, text: string): Promise<string> {
	return rpc.prompt(text).then(
		({ stopReason, errorMessage, text: answer }) => `${stopReason}: ${errorMessage ?? answer}`,
		(error: unknown) => (error instanceof Error ? error.message : String(error)),
	);
}

const modelsSchema = z.looseObject({ models: z.array(z.looseObject({ provider: z.string(), id: z.string() })) });

async function codexModels(rpc: Rpc): Promise<string[]> {
	const { models } = modelsSchema.parse(await rpc.command("get_available_models"));
	return models.filter(({ provider }) => provider === "openai-codex").map(({ id }) => id);
}

describe.each(coreOf(hosts, ({ host }) => isAtAnEnd(host)))("the placeholder key on pi $host", ({ host }) => {
	/** What pi says before any login, with one, and after it is gone: with us or without. */
	async function lifeOfALogin(extension: boolean, host: HostName) {
		const bench = await createBench({ host, usage, accounts: [], strangers: ["a"] });
		signPiInAs(bench, "a");
		const rpc = bench.rpc([], { extension });
		// Newer hosts list their models a moment after they have begun.
		await vi.waitFor(async () => expect(await codexModels(rpc)).not.toEqual([]), 20_000);
		const signedIn = { models: await codexModels(rpc), said: await outcomeOf(rpc, "one") };
		signPiOut(bench);
		const first = await outcomeOf(rpc, "two");
		const second = await outcomeOf(rpc, "three");
		return { signedIn, first, second, models: await codexModels(rpc), asked: bench.asked() };
	}

	it("goes with the last account: then pi says and offers what it does without us", async () => {
		const ours = await lifeOfALogin(true, host);
		expect(ours.signedIn).toMatchObject({ said: "stop: OK from a #1" });
		expect(ours.signedIn.models).not.toEqual([]);

		const plain = await lifeOfALogin(false, host);
		// The first prompt after the logout finds it out; from then on pi is by itself again.
		expect(ours.first).not.toContain("accountId");
		expect(ours.signedIn).toEqual(plain.signedIn);
		// pi has two sentences for a missing key, and which one comes is a race of its own.
		const isWithoutKey = /Provider is not configured|No API key found/.test(ours.second);
		// The oldest host goes on with a login that is gone, from its memory; with us it looks again. Some that came soon
		// after it go on with us as well.
		const isAsPlain = host !== "0.73.1" && ours.second === plain.second;
		expect(isWithoutKey || isAsPlain, ours.second).toBe(true);
		expect(plain.asked).toEqual(expect.arrayContaining(ours.asked));
		// Plain newer hosts go on listing what they had found before; dropping the key makes them look again, behind.
		expect(plain.models).toEqual(expect.arrayContaining(ours.models));
	});

	it("comes with the first account that another process adds, at the next look", async () => {
		const bench = await createBench({ host, usage, accounts: [], strangers: ["a"] });
		const rpc = bench.rpc();
		expect(await codexModels(rpc)).toEqual([]);
		expect(await outcomeOf(rpc, "say hi")).toContain("No API key found");

		bench.dir.write("codex-accounts.json", { version: 2, accounts: [bench.row("a")] });
		await rpc.send("/multicodex show");

		// Newer hosts take a registration in behind: they answer the command before they list its models.
		await vi.waitFor(async () => expect(await codexModels(rpc)).not.toEqual([]), 20_000);
		// Newer hosts have begun without any model.
		await rpc.command("set_model", { provider: "openai-codex", modelId: bench.host.model });
		expect(await outcomeOf(rpc, "say hi")).toBe("stop: OK from a #1");
	});

	it("makes our accounts usable without any login of pi's, with pi's own default model", async () => {
		const bench = await createBench({ host, usage, accounts: ["a"] });
		bench.dir.write("settings.json", {});
		const rpc = bench.rpc();

		expect(await outcomeOf(rpc, "say hi")).toBe("stop: OK from a #1");

		expect(bench.codex.responsesRequests()[0]?.body?.model).toBe(bench.host.model);
		expect(loginOfPi(bench)).toBeUndefined();
	});
});

describe.each(coreOf(hosts, ({ host }) => isAtAnEnd(host)))("--api-key on pi $host", ({ host }) => {
	it("passes through untouched, without rotation, and leaves no trace", async () => {
		const bench = await createBench({ host, usage, accounts: ["a"], strangers: ["b"] });
		bench.codex.websocket = "refuse";
		const before = bench.dir.read("codex-accounts.json");
		const key = bench.codex.grant("b").access;
		bench.codex.account("b").next(answers.text("by the key")).always(answers.forbidden("workspace_disabled"));
		const args = ["--provider", "openai-codex", "--model", bench.host.model, "--api-key", key];

		const served = await bench.run([...args, "-p", "say hi"]);

		expect(served).toMatchObject({ code: 0, stdout: "by the key\n" });
		expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(key);

		if (host !== "0.73.1") expect(await bench.run([...args, "-p", "say hi"])).toMatchObject({ code: 1 });
		expect(new Set(bench.asked())).toEqual(new Set(["b"]));
		expect(bench.codex.usageRequests()).toEqual([]);
		expect(bench.dir.read("codex-accounts.json")).toBe(before);
	});
});

it("pi's /logout, in its own screen takes the only account away at once", async () => {
	const bench = await createBench({ usage, accounts: [], strangers: ["a"] });
	signPiInAs(bench, "a");
	const terminal = startTerminal(bench.host, bench.dir, [], { env: { PI_MULTICODEX_AUTH_URL: bench.codex.issuer } });
	onTestFinished(async () => {
		await terminal.stop();
	});
	await terminal.ready();
	await terminal.submit("say hi");
	await terminal.waitForText("OK from a #1");
	await terminal.submit("/logout");
	await terminal.waitForText(/ChatGPT Plus\/Pro \(Codex Subscription\)|→ OpenAI Codex/);
	await terminal.press("enter");
	await terminal.waitForText(/Logged out of|Removed/);

	await terminal.submit("say hi again");
	await terminal.waitForText(/No API key found|No Codex account is signed in|accountId/);
	await terminal.submit("say hi once more");

	await terminal.waitForText("No API key found for openai-codex", 5_000);
	expect(terminal.transcript()).not.toContain("accountId");
	expect(bench.asked()).toEqual(["a"]);
	expect(storedLabels(bench)).toEqual([]);
});
