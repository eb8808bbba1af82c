import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { z } from "zod";
import { findModernNode, type HostName, prepareHost, siblingFile } from "./hosts.ts";

/** What a host's own turn retry makes of an error text. */
export interface HostRetry {
	readonly host: HostName;
	/** Words that wake the retry, wherever they stand in a text. */
	readonly wakes: RegExp;
	/** Words that forbid it all the same; 0.73.1 has none. */
	readonly forbids: RegExp | undefined;
}

/** A piece of the pattern that no other file of a host has. */
const DISTINCTIVE = "reset before headers";

/**
 * Reads the patterns out of the hosts' own files, so that a host that changes them is noticed.
 * @throws when a pattern is not where it was: a test on no pattern would always pass
 */
export async function hostRetries(): Promise<HostRetry[]> {
	return [
		fromMethod(siblingFile(await prepareHost("0.73.1"), "pi-coding-agent", "dist/core/agent-session.js")),
		fromLists("0.87.1", await retryOf0871()),
		await fromBundle("1.5.2"),
		await fromBundle("1.6.0"),
	];
}

/** Does this host ask again by itself after such an error? */
export function retries({ wakes, forbids }: HostRetry, text: string): boolean {
	return wakes.test(text) && !forbids?.test(text);
}

/** Asks each of `texts` in a process that calls the test in its last argument. */
const ASKING = `
	const [path, texts] = process.argv.slice(1);
	const { isRetryableAssistantError: ask } = await import(path);
	const answers = JSON.parse(texts).map((errorMessage) =>
		ask({ role: "assistant", content: [], stopReason: "error", errorMessage }));
	process.stdout.write(JSON.stringify(answers));
`;

/** What the host's own function says of each text; 0.73.1 has none that could be called. */
export async function ownAnswers(host: HostName, texts: readonly string[]): Promise<boolean[]> {
	const path = host === "0.87.1" ? await retryOf0871() : await chunkWithFunction(host);
	const args = ["--input-type=module", "-e", ASKING, path, JSON.stringify(texts)];
	const { stdout } = await promisify(execFile)(await findModernNode(), args, { timeout: 60_000 });
	return z.array(z.boolean()).length(texts.length).parse(JSON.parse(stdout));
}

async function retryOf0871(): Promise<string> {
	return siblingFile(await prepareHost("0.87.1"), "pi-ai", "dist/utils/retry.js");
}

async function chunkWithFunction(host: HostName): Promise<string> {
	const { cli } = await prepareHost(host);
	return chunkWithPattern(join(dirname(cli), "chunks"));
}

function fromMethod(path: string): HostRetry {
	const source = readFileSync(path, "utf8");
	const method = /_isRetryableError\(message\) \{([\s\S]*?)\n {4}\}/.exec(source)?.[1];
	const literal = method && /return \/(.+)\/([a-z]*)\.test\(err\);/.exec(method);
	if (!literal?.[1]?.includes(DISTINCTIVE)) throw new Error(`${path} holds no retry pattern any more`);
	return { host: "0.73.1", wakes: new RegExp(literal[1], literal[2]), forbids: undefined };
}

async function fromBundle(host: HostName): Promise<HostRetry> {
	const { cli } = await prepareHost(host);
	return fromLists(host, chunkWithPattern(join(dirname(cli), "chunks")));
}

function fromLists(host: HostName, path: string): HostRetry {
	const source = readFileSync(path, "utf8");
	const pattern = (name: string) => {
		const words = listAfter(source, new RegExp(`\\b${name}\\s*=\\s*buildProviderErrorPattern\\(`));
		if (words === undefined) throw new Error(`${path} holds no ${name} any more`);
		return new RegExp(words.join("|"), "i");
	};
	const wakes = pattern("RETRYABLE_PROVIDER_ERROR_PATTERN");
	if (!wakes.source.includes(DISTINCTIVE)) throw new Error(`${path} holds another retry pattern`);
	return { host, wakes, forbids: pattern("NON_RETRYABLE_PROVIDER_LIMIT_ERROR_PATTERN") };
}

/** The array of strings that stands right after `start`; its texts hold brackets too, so ends are tried in turn. */
function listAfter(source: string, start: RegExp): string[] | undefined {
	const found = start.exec(source);
	if (!found) return undefined;
	const from = found.index + found[0].length;
	for (let end = source.indexOf("])", from); end >= 0 && end - from < 10_000; end = source.indexOf("])", end + 1)) {
		const list = evaluated(source.slice(from, end + 1));
		if (list) return list;
	}
	return undefined;
}

function evaluated(literal: string): string[] | undefined {
	try {
		return z.array(z.string()).min(5).safeParse(runInNewContext(literal)).data;
	} catch {
		// Cut off in the middle of a text.
		return undefined;
	}
}

function chunkWithPattern(folder: string): string {
	const name = readdirSync(folder).find(
		(each) => each.endsWith(".js") && readFileSync(join(folder, each), "utf8").includes(DISTINCTIVE),
	);
	if (name === undefined) throw new Error(`no file in ${folder} holds the retry pattern any more`);
	return join(folder, name);
}
