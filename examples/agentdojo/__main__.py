"""`python examples/agentdojo`: AgentDojo's tool calls through the gate with the policies of this folder."""

import sys
from pathlib import Path

from demur.evaluation import agentdojo

sys.exit(agentdojo.main(["--folder", str(Path(__file__).parent), *sys.argv[1:]]))
