import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import {
	answers,
	type FakeAccountInit,
	type RecordedRequest,
	startFakeCodex,
	tokenAnswers,
} from "../support/fake-codex/index.ts";
import { type HostName, hostNames, NEWEST_HOST } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import { benchWithExpiredLogin, signPiInAs, signPiOut } from "./credentials-support.ts";
import { type Bench, createBench } from "./support.ts";

const usage = answers.serverError(500);
const hosts = hostNames.map((host) => ({ host }));
/** Names that occur nowhere else, so that they can be searched for. */
const people: readonly FakeAccountInit[] = ["ann", "ben", "cat"].map((name) => ({
	name,
	email: `${name}@secret-person.example`,
	userId: `secret-user-${name}`,
}));

/** Every secret, and every part of one that is long enough to be told from an accident. */
function secretParts(bench: Bench): string[] {
	const parts = bench.codex.secrets().flatMap((secret) => [secret, ...secret.split(".")]);
	// The first part of a token is the same in all of them, and in the head of this file it would be no secret.
	return [...new Set(parts)].filter((part) => part.length > 40 || part.includes("fakesecret"));
}

function holdsSecret(text: string, parts: readonly string[]): boolean {
	return parts.some((part) => text.includes(part));
}

/** Paths, relative to the home, of all files with a secret in their content or in their name. */
function filesWithSecrets(bench: Bench): string[] {
	const parts = secretParts(bench);
	const { home } = bench.dir;
	return readdirSync(home, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.filter((path) => holdsSecret(path, parts) || holdsSecret(readFileSync(path, "latin1"), parts))
		.map((path) => relative(home, path))
		.sort();
}

function contentsOf(bench: Bench, ...folders: readonly string[]): string {
	return folders
		.flatMap((folder) => readdirSync(bench.dir.path(folder), { recursive: true, withFileTypes: true }))
		.filter((entry) => entry.isFile())
		.map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"))
		.join("\n");
}

describe.each(coreOf(hosts))("no secret is left after runs of all kinds on pi $host", ({ host }) => {
	it("no secret is in any output, state or session; only the files that keep logins hold one", async () => {
		const bench = await createBench({ host, accounts: people });
		const { codex } = bench;
		const [ann, ben] = ["ann", "ben"].map((name) => codex.account(name));
		const outputs: string[] = [];
		const run = async (...args: readonly string[]) => {
			const { stdout, stderr } = await bench.run(args);
			outputs.push(stdout, stderr);
		};

		// A rotation, a token renewed after a 401, a sign-in that is over, a token endpoint that quotes what it was sent.
		ann?.next(answers.usageLimit({ resetsInMs: 1_000 }));
		ben?.expireAccessTokens();
		await run("-p", "one");
		ann?.always(answers.unauthorized("token_revoked"));
		ann?.token(tokenAnswers.permanent("refresh_token_reused"));
		await bench.run(["-p", "/multicodex reset backups --yes"]).then(({ stderr }) => outputs.push(stderr));
		// An account with known usage would go before her.
		await run("-p", "/multicodex use ann");
		await run("-p", "two");
		await run("--mode", "json", "three");
		await run("-p", "/multicodex show --json");
		await run("-p", "/multicodex");
		await run("-p", "/multicodex path");
		await run("-p", "/multicodex log --json");
		await run("-p", "/multicodex why --json");
		await run("-p", "/multicodex use ben");
		const rpc = bench.rpc();
		await rpc.prompt("four");
		await rpc.send("/multicodex show");
		await rpc.close();
		outputs.push(rpc.process.stdout(), rpc.process.stderr());
		// pi's login comes and goes, which leaves a backup; then our file breaks in the middle of a token.
		signPiInAs(bench, "ann");
		await run("-p", "five");
		signPiOut(bench);
		await run("-p", "six");
		const whole = bench.dir.read("codex-accounts.json") ?? "";
		const broken = whole.slice(0, whole.indexOf('"refresh"') + 30);
		bench.dir.write("codex-accounts.json", broken);
		await run("-p", "seven");

		expect(outputs.filter((output) => holdsSecret(output, secretParts(bench)))).toEqual([]);
		expect(outputs.join("").length).toBeGreaterThan(1_000);
		const agent = relative(bench.dir.home, bench.dir.dir);
		const holders = filesWithSecrets(bench);
		expect(holders.length).toBeGreaterThan(0);
		for (const path of holders) {
			expect(path).toMatch(/^[^/]+\/[^/]+\/(auth\.json|codex-accounts\.json(\.(bak|corrupt)-\d+)?)$/);
			expect(path.startsWith(agent)).toBe(true);
		}
		// Who the accounts belong to stays out of what is not a login either.
		const files = ["codex-state.json", "codex-events.jsonl", "codex-history.jsonl", "codex-ledger.jsonl"];
		const remembered = [...files.map(bench.dir.read), contentsOf(bench, "sessions")].join("\n");
		expect(remembered).toContain(bench.id("ben"));
		expect(bench.dir.read("codex-events.jsonl")).toContain("signed-out");
		expect(remembered).not.toMatch(/secret-person|secret-user|"ann"|"ben"|"cat"/);
	});
});

it("repeats nothing that a token endpoint quotes, and nothing of a file that it cannot read", async () => {
	const bench = await benchWithExpiredLogin("us", ["b"]);
	const { refresh } = bench.spent;
	bench.codex
		.account("a")
		.tokenScript.next(
			tokenAnswers.permanent(refresh, { place: "error" }),
			answers.refuse(503, `<html>${refresh}</html>`),
		);

	const first = await bench.print("say hi");
	const shown = await bench.run(["-p", "/multicodex show --json"]);
	const listed = await bench.run(["-p", "/multicodex show"]);

	expect(first).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
	// Reasons are shown with spaces for underscores: the random end of the token gives it away in any form.
	const tail = refresh.split("_").at(-1) ?? refresh;
	for (const { stdout, stderr } of [first, shown, listed]) expect(`${stdout}${stderr}`).not.toContain(tail);
	expect(bench.dir.read("codex-state.json")).not.toContain(tail);
});

/** The first request for a response of pi with one login, and what it said. */
async function firstRequest(
	host: HostName,
	isOurs: boolean,
	webSocket: "accept" | "refuse",
): Promise<RecordedRequest[]> {
	const bench = await createBench({ host, usage, accounts: [], strangers: people });
	bench.codex.websocket = webSocket;
	const credential = signPiInAs(bench, "ann");
	if (isOurs) {
		// The pool knows more accounts, and the first one has just run out: the last of these requests comes after a
		// rotation.
		bench.codex
			.account("ann")
			.next(answers.text("done"))
			.always(answers.usageLimit({ resetsInMs: 6_000_000 }));
		const accounts = [
			bench.row("ann", { credential, linked: true, source: "pi" }),
			bench.row("ben", { label: "label-of-ben" }),
		];
		bench.dir.write("codex-accounts.json", { version: 2, accounts });
		await bench.print("say hi");
		await bench.print("say hi");
		expect(bench.asked()).toEqual(["ann", "ann", "ben"]);
	} else {
		await bench.print("say hi", [], { extension: false });
		expect(bench.asked()).toEqual(["ann"]);
	}
	return bench.codex
		.responsesRequests()
		.map((request) => ({ ...request, bodyText: request.bodyText.replaceAll(bench.dir.home, "HOME") }));
}

/** pi 0.73.1 does not know its system yet when it sends its very first request: the agent differs, and only in that. */
const MASKED_HEADERS = new Set([
	"authorization",
	"chatgpt-account-id",
	"host",
	"content-length",
	"sec-websocket-key",
	"user-agent",
]);
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** A request without what differs between any two sessions. */
function shapeOf(request: RecordedRequest) {
	const headers = Object.entries(request.headers)
		.map(([name, value]) => [name, MASKED_HEADERS.has(name) ? "…" : value.replace(UUID, "an id")] as const)
		.sort(([one], [other]) => one.localeCompare(other));
	const body: unknown = JSON.parse(request.bodyText.replace(UUID, "an id"));
	return { kind: request.kind, path: request.path, query: request.query, headers, body };
}

describe.each(coreOf(hosts))("requests on pi $host", ({ host }) => {
	it.each(
		coreOf([{ webSocket: "refuse" as const }, { webSocket: "accept" as const }], ({ webSocket }) =>
			host === NEWEST_HOST ? webSocket === "accept" : webSocket === "refuse",
		),
	)(
		"requests of ours are those of plain pi, header by header and key by key (WebSockets: $webSocket)",
		async ({ webSocket }) => {
			const [plain] = await firstRequest(host, false, webSocket);
			const ours = await firstRequest(host, true, webSocket);

			if (plain === undefined) throw new Error("plain pi sent nothing");
			const expected = shapeOf(plain);
			expect(expected.headers.length).toBeGreaterThan(8);
			for (const request of ours) expect(shapeOf(request)).toEqual(expected);
			expect(new Set(ours.map(({ account }) => account))).toEqual(new Set(["ann", "ben"]));
			for (const request of ours) {
				expect(request.headers["user-agent"]).toMatch(/^(pi|node|undici)\b/);
				const rest = `${request.bodyText}${JSON.stringify(shapeOf(request).headers)}`;
				expect(rest).not.toMatch(/secret-person|secret-user|label-of|multicodex/i);
			}
		},
	);
});

it("asks for usage and for tokens with nothing but what these endpoints need", async () => {
	const bench = await createBench({ accounts: people });
	bench.codex.account("ann").expireAccessTokens();

	expect(await bench.print("say hi")).toMatchObject({ code: 0 });

	const asked = await bench.codex.waitFor(({ kind, account }) => kind === "usage" && account === "ben", 15_000);
	const { host, connection, ...headers } = asked.headers;
	expect(Object.keys(headers).sort()).toEqual([
		"accept",
		"accept-encoding",
		"accept-language",
		"authorization",
		"chatgpt-account-id",
		"sec-fetch-mode",
		"user-agent",
	]);
	expect(headers["user-agent"]).toMatch(/^pi \(/);
	expect(asked.query).toEqual({});
	const [exchange] = bench.codex.tokenRequests();
	expect(Object.keys(exchange?.body ?? {}).sort()).toEqual(["client_id", "grant_type", "refresh_token"]);
	expect(exchange?.headers).not.toHaveProperty("authorization");
	const everything = bench.codex.requests.map(
		({ headers, bodyText, query }) =>
			`${JSON.stringify({ ...headers, authorization: "" })}${bodyText}${JSON.stringify(query)}`,
	);
	expect(everything.join("\n")).not.toMatch(/secret-person|secret-user|multicodex/i);
});

describe("a token", () => {
	it("follows no redirect of the token or the usage endpoint", async () => {
		const thief = await startFakeCodex();
		try {
			const bench = await benchWithExpiredLogin("us", ["b"]);
			const elsewhere = (path: string) => answers.refuse(307, "", { location: `${thief.issuer}${path}` });
			bench.codex.account("a").token(elsewhere("/oauth/token"));
			bench.codex.account("b").usage(elsewhere("/backend-api/wham/usage"));

			expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });

			await bench.codex.waitFor(
				({ kind, account, endedAt }) => kind === "usage" && account === "b" && !!endedAt,
				15_000,
			);
			expect(bench.codex.tokenRequests()).toHaveLength(1);
			expect(thief.requests).toEqual([]);
		} finally {
			await thief.close();
		}
	});

	it.each(coreOf(["0.87.1", "1.5.2"] as const))(
		"sends the conversation nowhere else if the backend redirects an answer, on pi %s",
		async (host) => {
			const thief = await startFakeCodex();
			try {
				const bench = await createBench({ host, usage, settings: { transport: "sse" } });
				const location = `${thief.issuer}/backend-api/codex/responses`;
				bench.codex.account("a").always(answers.refuse(307, "", { location }));

				const result = await bench.print("say hi");

				expect(result).toMatchObject({ code: 1, stdout: "" });
				expect(result.stderr).toMatch(/redirect.*models\.json/);
				expect(bench.asked()).toEqual(["a"]);
				expect(thief.requests).toEqual([]);
			} finally {
				await thief.close();
			}
		},
	);

	it("goes to another sign-in service with a word at the beginning of a session, and only there", async () => {
		const env = { PI_MULTICODEX_AUTH_URL: "https://issuer.example" };
		const bench = await createBench({ accounts: ["a"], usage, env });
		const rpc = bench.rpc();
		await rpc.prompt("say hi");
		await rpc.prompt("say hi");
		expect(rpc.notifications).toMatchObject([{ level: "warning", message: expect.stringContaining("issuer.example") }]);
		const { code, stderr } = await bench.print("say hi");
		expect([code, stderr.trimEnd().split("\n").length]).toEqual([0, 1]);
		expect(stderr).toMatch(/^PI_MULTICODEX_AUTH_URL is set: .*issuer\.example/);
	});

	it("a token is not sent in the clear to another machine: the setting that asked for it is named", async () => {
		const bench = await createBench({ accounts: ["a"], baseUrl: "http://codex.invalid/backend-api" });

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 1, stdout: "" });
		expect(result.stderr).toContain("baseUrl of openai-codex in models.json must use https");
	});

	it("is not exchanged in the clear with another machine: the setting that asked for it is named", async () => {
		const bench = await benchWithExpiredLogin("us", [], {
			settings: { "pi-multicodex": { rotation: { maxWait: "0s" } } },
		});

		const result = await bench.print("say hi", [], { env: { PI_MULTICODEX_AUTH_URL: "http://issuer.invalid" } });

		expect(result).toMatchObject({ code: 1, stdout: "" });
		expect(result.stderr).toContain("PI_MULTICODEX_AUTH_URL");
		expect(bench.codex.requests).toEqual([]);
		expect(bench.stored("a").needsLogin).toBeNull();
	});
});
