"""Whose APIs the models of the tests have."""

PROVIDERS = ["openai", "anthropic", "gemini", "ollama", "bedrock", "cohere"]
