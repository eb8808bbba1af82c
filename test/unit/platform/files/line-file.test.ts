import { renameSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { appendLines } from "../../../../src/platform/files/line-file.ts";
import { onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const scratch = scratchForEach();

const noRoomNeeded = async () => false;
const append = (batch: string, makeRoom: (size: number) => Promise<boolean> = noRoomNeeded) =>
	appendLines(scratch.path("log.jsonl"), batch, makeRoom);

describe("lines that are added to a file", () => {
	it("added lines stand one after the other", async () => {
		await append("one\n");
		await append("two\n");
		expect(scratch.text("log.jsonl")).toBe("one\ntwo\n");
	});

	it("an added line begins anew after a line that was cut off", async () => {
		scratch.write("log.jsonl", "cut o");
		await append("two\n");
		expect(scratch.text("log.jsonl")).toBe("cut o\ntwo\n");
	});

	onPosix("added lines go into the new file if another process has put the old one aside meanwhile", async () => {
		scratch.write("log.jsonl", "old\n");
		await append("new\n", async () => {
			renameSync(scratch.path("log.jsonl"), scratch.path("log.1.jsonl"));
			return false;
		});
		expect([scratch.text("log.1.jsonl"), scratch.text("log.jsonl")]).toEqual(["old\n", "new\n"]);
	});
});
