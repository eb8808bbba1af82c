import { homedir } from "node:os";
import { resolve } from "node:path";
import { labelProblem } from "../../core/account.ts";
import { PoolProblem } from "../../core/shared-pool.ts";
import { type Failure, usageError } from "../../pi/command.ts";
import { readText } from "../../platform/files/regular-file.ts";
import { parsePoolUrl } from "../../platform/shared-pool/pool-url.ts";
import * as texts from "./texts.ts";

/** A URL with a password, or a join code: typed, or in a file that was named. */
export type GivenSecret =
	| { readonly kind: "typed"; readonly text: string }
	| { readonly kind: "file"; readonly path: string };

const CODE_BEGINS = /^pi-pool-/i;
const URL_BEGINS = /^[a-z][\w+.-]*:\/\//i;

/** Returns a word without surrounding quotes, which a page or a shell may have added. */
export function unquoted(word: string): string {
	return /^(['"`]|[‘“<])(?<inside>.*)['"`’”>]$/s.exec(word)?.groups?.inside ?? word;
}

/** True for a URL, or the name of a file that contains one. */
export function isUrlWord(word: string): boolean {
	return URL_BEGINS.test(word) || word.startsWith("@");
}

/** True for a join code, complete or cut off. */
export function isCodeWord(word: string): boolean {
	return CODE_BEGINS.test(word);
}

/** Returns the secret that a word stands for: the word itself, or the content of a file. */
export function givenSecret(word: string): GivenSecret {
	return word.startsWith("@") ? { kind: "file", path: word.slice(1) } : { kind: "typed", text: word };
}

/** Returns the text of a secret. A file may be named relative to the home or to `folder`. */
export async function readSecret(given: GivenSecret, folder: string): Promise<string | Failure> {
	if (given.kind === "typed") return given.text;
	const path = resolve(folder, given.path.replace(/^~(?=[/\\]|$)/, homedir()));
	try {
		// An editor or an e-mail may have broken it into lines.
		const text = unquoted((await readText(path)).replaceAll(/\s+/g, ""));
		return text === "" ? { failure: texts.emptyFile(given.path) } : text;
	} catch (error) {
		const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
		return { failure: texts.unreadableFile(given.path, code) };
	}
}

/**
 * Returns the name of a pool in the database of `url`, which is that of the database. A failure if it is not a URL; it
 * quotes no secret.
 */
export function poolNameOf(url: string): { readonly name: string } | Failure {
	if (isCodeWord(url)) return { failure: texts.codeInPlaceOfUrl() };
	try {
		const { database, hosts } = parsePoolUrl(url);
		return { name: labelProblem(database) === undefined ? database : (hosts[0]?.host ?? "pool") };
	} catch (error) {
		if (error instanceof PoolProblem) return { failure: error.message };
		throw error;
	}
}

/** Removes an option and its value from the words. Returns the values in order. */
export function takeValues(
	words: readonly string[],
	option: string,
	usage: string,
): { readonly values: readonly string[]; readonly rest: readonly string[] } | Failure {
	const values: string[] = [];
	const rest: string[] = [];
	for (let at = 0; at < words.length; at += 1) {
		const word = words[at] ?? "";
		if (word.startsWith(`${option}=`)) values.push(word.slice(option.length + 1));
		else if (word !== option) rest.push(word);
		else {
			at += 1;
			const value = words[at];
			if (value === undefined || value.startsWith("--")) return usageError(usage, texts.valueMissing(option));
			values.push(value);
		}
	}
	return { values, rest };
}

/** Returns the machine name that was typed; undefined if none was. */
export function machineNamed(values: readonly string[]): { readonly machine: string | undefined } | Failure {
	const [machine] = values;
	const problem = machine === undefined ? undefined : labelProblem(machine);
	return problem === undefined ? { machine } : { failure: texts.badMachine(machine ?? "", problem) };
}
