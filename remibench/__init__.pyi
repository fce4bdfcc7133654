from remibench.api import Audit as Audit
from remibench.api import Data as Data
from remibench.api import audit as audit
from remibench.api import evaluate as evaluate
from remibench.api import fit_attack as fit_attack
from remibench.api import load_data as load_data
from remibench.api import unlearn as unlearn

__version__: str
