import { describe, expect, it } from "vitest";
import { refusalToSendTokens } from "../../src/io/token-url.ts";

describe("where a token may go", () => {
	it.each([
		"https://chatgpt.com/backend-api",
		"https://auth.openai.com",
		"HTTPS://PROXY.EXAMPLE:8443/x",
		"http://localhost:1234",
		"http://LOCALHOST/backend-api",
		"http://127.0.0.1:8080/backend-api",
		"http://127.8.9.1",
		"http://[::1]:8080",
	])("is %s", (url) => {
		expect(refusalToSendTokens(url, "the setting")).toBeUndefined();
	});

	it.each([
		"http://chatgpt.com/backend-api",
		"http://localhost.evil.example",
		"http://evil-localhost",
		"http://evil.localhost",
		"http://127.0.0.1.evil.example",
		"http://127.0.0.1@evil.example/",
		"http://evil.example/?http://127.0.0.1",
		"http://0.0.0.0:8080",
		"http://192.168.1.10",
		"http://[::ffff:192.168.1.10]",
		"ws://127.0.0.1",
		"ftp://127.0.0.1",
		"file:///etc/passwd",
	])("is not %s, and the setting is named", (url) => {
		expect(refusalToSendTokens(url, "MY_SETTING")).toMatch(/^MY_SETTING must use https/);
	});

	it.each(["", "chatgpt.com/backend-api", "https://", "not a url"])("is no URL at all: %j", (url) => {
		expect(refusalToSendTokens(url, "MY_SETTING")).toBe("MY_SETTING is not a URL.");
	});

	it("is never quoted: it may hold a password", () => {
		expect(refusalToSendTokens("http://me:hunter2@evil.example", "MY_SETTING")).not.toContain("hunter2");
	});
});
